#!/bin/sh
# End-to-end tests: run.sh [-u] program [case ...]
#
# NAME.in      a log; the program reads it with the flags of NAME.args, or with
#              -n and a fixed time, and prints what NAME.ok says: standard
#              output, standard error, and the exit status
# NAME.ignore  the ignore list of that run, otherwise an empty one
# NAME.pf      what the table is before: lines "AGE ARGUMENT ..." for pfctl,
#              AGE seconds ago; with it NAME.ok also has the calls of pfctl
#              that changed something, and the table afterwards
# NAME.sh      a test of several runs, written in sh; NAME.ok is its output
#
# pfctl is the stand-in of regress/pfctl. -u writes NAME.ok anew: review it
# with git diff.

update=
[ "$1" = -u ] && update=yes && shift
prog=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
cd "$(dirname "$0")" || exit 1
base=$(mktemp -d) || exit 1
trap 'rm -rf "$base"' EXIT
trap 'exit 1' HUP INT TERM
tmp=$base/tmp # empty when a case begins
TZ=UTC LC_ALL=C PFCTL=$base/pfctl PFCTL_STATE=$base/state PFCTL_LOG=$base/calls
export TZ LC_ALL PFCTL PFCTL_STATE PFCTL_LOG
unset COLUMNS
${GO:-go} build -o "$PFCTL" ./pfctl || exit 1

# pf AGE ARGUMENT ... runs pfctl as of AGE seconds ago.
pf() {
	PFCTL_NOW=$(($(date +%s) - $1))
	export PFCTL_NOW
	shift
	"$PFCTL" "$@"
	unset PFCTL_NOW
}

# fresh makes the machine as a good pf.conf(5) leaves it: an empty table that
# a rule uses.
fresh() {
	rm -f "$PFCTL_STATE" "$PFCTL_STATE".* "$PFCTL_LOG"
	pf 0 --event mktable bot counters ref
}

# calls shows the calls of pfctl that change something, and forgets all.
calls() {
	[ -f "$PFCTL_LOG" ] && awk '
		/^\t/ { if (show) print; next }
		{ show = / -T (add|delete|expire|zero)/ || /^-k /; if (show) print "pfctl " $0 }
	' "$PFCTL_LOG"
	rm -f "$PFCTL_LOG"
}

# iso SECONDS prints the time so long ago as syslogd -Z does.
iso() {
	awk -v t=$(($(date +%s) - $1)) 'BEGIN {
		# The date t seconds after 1970: civil_from_days of howardhinnant.github.io.
		z = int(t / 86400) + 719468; s = t % 86400
		era = int(z / 146097); doe = z - era * 146097
		yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
		doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100))
		mp = int((5 * doy + 2) / 153); d = doy - int((153 * mp + 2) / 5) + 1
		m = mp < 10 ? mp + 3 : mp - 9; y = yoe + era * 400 + (m <= 2)
		printf "%04d-%02d-%02dT%02d:%02d:%02d.000Z\n", y, m, d, s / 3600, s % 3600 / 60, s % 60
	}'
}

# bot SECONDS ADDRESS ID prints twelve failures of a session, so long ago.
bot() {
	stamp=$(iso "$1")
	echo "$stamp mail smtpd[1]: $3 smtp connected address=$2 host=<unknown>"
	for n in 1 2 3 4 5 6 7 8 9 0 1 2; do
		echo "$stamp mail smtpd[1]: $3 smtp authentication user=u$n result=permfail"
	done
}

run_in() {
	fresh
	ignore=/dev/null
	[ -f "$1.ignore" ] && ignore=$1.ignore
	args='-n --at 2026-11-20T12:00:00Z'
	[ -f "$1.args" ] && args=$(cat "$1.args")
	if [ -f "$1.pf" ]; then
		while read -r line; do
			[ -z "$line" ] || eval "pf $line" >/dev/null 2>&1
		done <"$1.pf"
		rm -f "$PFCTL_LOG"
	fi
	eval "set -- $1 $args"
	case=$1
	shift
	"$prog" --pfctl "$PFCTL" -i "$ignore" "$@" "$case.in" 2>"$tmp/err"
	status=$?
	sed "s,$base,TMP,g" "$tmp/err"
	echo "exit $status"
	if [ -f "$case.pf" ]; then
		calls
		echo "table:"
		pf 0 --event heal
		pf 0 -t bot -T show
	fi
}

run_sh() {
	fresh
	(. "./$1.sh") 2>&1 | sed "s,$tmp,TMP,g; s,$base,TMP,g"
}

failed=0 passed=0
[ $# -gt 0 ] || set -- $(ls *.in *.sh | sed -n 's/\.in$//p; /^run\.sh$/d; s/\.sh$//p')
for c; do
	rm -rf "$tmp"
	mkdir "$tmp" || exit 1
	if [ -f "$c.sh" ]; then run_sh "$c"; else run_in "$c"; fi >"$base/got" 2>&1 </dev/null
	if [ "$update" ]; then
		cp "$base/got" "$c.ok"
	elif ! diff -u "$c.ok" "$base/got"; then
		echo "FAILED: $c"
		failed=$((failed + 1))
		continue
	fi
	passed=$((passed + 1))
done
echo "regress: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
