# Two logs are one stream in the order of time, though a log has its sessions
# for itself: six failures here and six there, a success between them.
line() { echo "Nov 20 $2 mail smtpd[1]: 3c41a8f5b2d9000$1 smtp $3"; }
fails() { # ID HOUR
	line "$1" "$2:00:00" 'connected address=203.0.113.7 host=<unknown>'
	for s in 1 2 3 4 5 6; do line "$1" "$2:00:0$s" "authentication user=a result=permfail"; done
}
judge() { "$prog" -n --at 2026-11-20T12:00:00Z --pfctl "$PFCTL" -i /dev/null -w 3h "$@"; }
fails 1 10 >"$tmp/maillog"
fails 2 09 >"$tmp/authlog"
judge "$tmp/maillog" "$tmp/authlog"
line 2 09:30:00 'authentication user=a result=ok' >>"$tmp/authlog"
echo '-- with a success in between, whatever the order of the names'
judge "$tmp/maillog" "$tmp/authlog"
judge "$tmp/authlog" "$tmp/maillog"
echo '-- twice the same'
judge "$tmp/maillog" "$tmp/maillog"
