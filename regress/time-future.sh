# A stamp some hours ahead of the clock counts as now, and one of more than a
# day does not count.
bot() { # SECONDS-AGO ADDRESS ID
	stamp=$(iso "$1")
	echo "$stamp mail smtpd[1]: $3 smtp connected address=$2 host=<unknown>"
	for n in 1 2 3 4 5 6 7 8 9 0 1 2; do
		echo "$stamp mail smtpd[1]: $3 smtp authentication user=u$n result=permfail"
	done
}
bot -43200 203.0.113.7 3c41a8f5b2d90007 >"$tmp/log"
bot -100000 203.0.113.8 3c41a8f5b2d90008 >>"$tmp/log"
"$prog" -n -o list --pfctl "$PFCTL" -i /dev/null "$tmp/log" 2>&1 | grep -v -e reading -e reach
