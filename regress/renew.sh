# With -w 0 all of the log counts, so what expires is banned again by the same
# run, and told as that.
{
	echo "Nov 20 10:00:00 mail smtpd[1]: 3c41a8f5b2d90001 smtp connected address=203.0.113.7 host=<unknown>"
	for n in 1 2 3 4 5 6 7 8 9 0 1 2; do
		echo "Nov 20 10:00:00 mail smtpd[1]: 3c41a8f5b2d90001 smtp authentication user=u$n result=permfail"
	done
} >"$tmp/log"
pf 432002 -q -t bot -T add 203.0.113.7
rm -f "$PFCTL_LOG"
"$prog" --pfctl "$PFCTL" -i /dev/null -v -w 0 -o logfmt "$tmp/log" | cut -d' ' -f1-3
calls
pf 0 -t bot -T show
