# Summer time begins on 29 March 2026 at 2:00, and ends on 25 October at 3:00.
# Twelve failures, the first and the last a day apart but a second: by the wall
# clock that is 23 and 25 hours. Who is a second later is outside.
judge() { # NAME AT DATE1 TIME1 DATE2 TIME2
	{
		echo "$3 mail smtpd[1]: 3c41a8f5b2d90001 smtp connected address=203.0.113.7 host=<unknown>"
		echo "$3 mail smtpd[1]: 3c41a8f5b2d90001 smtp authentication user=a result=permfail"
		for n in 1 2 3 4 5 6 7 8 9; do
			echo "$4 mail smtpd[1]: 3c41a8f5b2d90001 smtp authentication user=b$n result=permfail"
		done
		echo "$5 mail smtpd[1]: 3c41a8f5b2d90001 smtp authentication user=c result=permfail"
	} >"$tmp/log"
	echo "-- $1"
	for tz in Europe/Berlin UTC; do
		TZ=$tz "$prog" -n --at "$2" --pfctl "$PFCTL" -i /dev/null -o logfmt "$tmp/log" 2>/dev/null
		echo "exit $?"
	done
}
judge 'spring, 24 hours less a second' 2026-03-29T16:00:00+02:00 'Mar 28 14:00:00' 'Mar 29 01:59:59' 'Mar 29 14:59:59'
judge 'spring, 24 hours' 2026-03-29T16:00:00+02:00 'Mar 28 14:00:00' 'Mar 29 01:59:59' 'Mar 29 15:00:00'
judge 'autumn, 24 hours less a second' 2026-10-25T16:00:00+01:00 'Oct 24 16:00:00' 'Oct 25 02:30:00' 'Oct 25 14:59:59'
judge 'autumn, 24 hours' 2026-10-25T16:00:00+01:00 'Oct 24 16:00:00' 'Oct 25 02:30:00' 'Oct 25 15:00:00'
