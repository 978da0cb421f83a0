# A log stands for itself and what it was rotated to, as far as the window needs
# it. Each day has four failures of one client, in a session that began the day
# before, and more than ten in three days.
bot() { # DAY ID
	cat <<-END
	Nov $1 00:00:01 mail newsyslog[1$1]: logfile turned over
	Nov $1 10:00:00 mail smtpd[1]: $2 smtp authentication user=a result=permfail
	Nov $1 10:00:01 mail smtpd[1]: $2 smtp authentication user=b result=permfail
	Nov $1 10:00:02 mail smtpd[1]: $2 smtp authentication user=c result=permfail
	Nov $1 10:00:03 mail smtpd[1]: $2 smtp authentication user=d result=permfail
	Nov $1 23:59:59 mail smtpd[1]: $(($2 + 1)) smtp connected address=203.0.113.7 host=<unknown>
	END
}
judge() {
	echo "-- $*"
	shift
	"$prog" -n --at 2026-11-20T12:00:00Z --pfctl "$PFCTL" -i /dev/null -w 3d "$@" "$tmp/log"
	echo "exit $?"
}
day() { bot "$1" "20000000000000$1"; }
day 20 >"$tmp/log"
day 19 >"$tmp/log.0"
day 18 | gzip >"$tmp/log.1.gz"
day 17 | bzip2 >"$tmp/log.2.bz2"
day 16 | gzip >"$tmp/log.3.gz"
judge 'newsyslog'
judge 'nothing but what is named' -w 0
judge 'two days are enough' -w 1d -e 1d
gzip -c "$tmp/log.0" >"$tmp/log.0.gz"
judge 'gzip has not removed log.0'
head -c 100 "$tmp/log.0.gz" >"$tmp/half"
mv "$tmp/half" "$tmp/log.0.gz"
judge 'gzip is still at work'
rm "$tmp/log.0"
judge 'half of log.0.gz is lost'
day 19 | gzip | tr '\000-\010' '\377' >"$tmp/log.0.gz"
judge 'log.0.gz is corrupt'
rm "$tmp"/log.?.*
day 19 >"$tmp/log.1"
day 18 | gzip >"$tmp/log.2.gz"
day 17 | gzip >"$tmp/log.10.gz"
judge 'logrotate'
mv "$tmp/log.1" "$tmp/log-20261120"
mv "$tmp/log.2.gz" "$tmp/log-20261119.gz"
rm "$tmp/log.10.gz"
judge 'logrotate with dates; too few'
rm "$tmp/log"
judge 'no log'
