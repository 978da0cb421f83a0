# A run adds; the next one changes nothing, and runs no add. Then the bot comes
# to be ignored, and then its ban ends.
run() {
	echo "-- $*"
	shift
	"$prog" --pfctl "$PFCTL" -i "$tmp/ignore" -w 1d "$@" "$tmp/log" 2>"$tmp/err"
	echo "exit $?"
	grep -v -e reading -e reach "$tmp/err"
	calls
	pf 0 -t bot -T show
}
log() { # SECONDS-AGO FAILURES ADDRESS ID
	stamp=$(iso "$1")
	echo "$stamp mail smtpd[1]: $4 smtp connected address=$3 host=<unknown>"
	for n in $(awk -v n="$2" 'BEGIN { for (i = 0; i < n; i++) print i }'); do
		echo "$stamp mail smtpd[1]: $4 smtp authentication user=u$n result=permfail"
		echo "$stamp mail smtpd[1]: $4 smtp failed-command command=\"AUTH LOGIN (password)\" result=\"535 Authentication failed\""
	done
	echo "$stamp mail smtpd[1]: $4 smtp disconnected reason=quit"
}
: >"$tmp/ignore"
log 432002 12 203.0.113.5 3c41a8f5b2d90005 >"$tmp/log"
log 431000 12 203.0.113.6 3c41a8f5b2d90006 >>"$tmp/log"
log 600 12 203.0.113.7 3c41a8f5b2d90007 >>"$tmp/log"
run 'first: a ban that is over is not made again, one in force is'
run second
echo 203.0.113.7 >"$tmp/ignore"
run ignored
: >"$tmp/ignore"
fresh
pf 432001 -q -t bot -T add 203.0.113.5 203.0.113.8
calls >/dev/null
run 'five days and a second later'
pf 0 -q -t bot -T delete 203.0.113.6 203.0.113.7
calls >/dev/null
run 'deleted by hand, so added again' -v -o list
