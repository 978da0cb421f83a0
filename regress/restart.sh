# A reboot empties the table. The next run reads back as far as a ban may have
# begun, and adds those still in force; one that is over is not made again, also
# when a ban is shorter than the window. Which files are read: -v tells.
run() {
	echo "-- $*"
	shift
	"$prog" --pfctl "$PFCTL" -i /dev/null "$@" "$tmp/log" 2>&1 | sed 's/which begins.*/.../; s/back to .*/back/'
	calls >/dev/null
	pf 0 -t bot -T show
}
bot 36000 203.0.113.1 3c41a8f5b2d90001 >"$tmp/log"
bot 172800 203.0.113.2 3c41a8f5b2d90002 | gzip >"$tmp/log.0.gz"
bot 400000 203.0.113.4 3c41a8f5b2d90004 | gzip >"$tmp/log.1.gz"
bot 432600 203.0.113.5 3c41a8f5b2d90005 | gzip >"$tmp/log.2.gz"
bot 800000 203.0.113.9 3c41a8f5b2d90009 | gzip >"$tmp/log.3.gz"
run 'after a reboot' -v -o list
run 'an hour later nothing is to be done' 
fresh
pf 90000 -q -t bot -T add 192.0.2.1
run 'the newest entry is of yesterday' -v -o list
fresh
run 'bans of an hour' -e 1h
run 'bans of eleven hours' -e 11h
