#!/bin/sh
# The whole program against awk doing the same by field numbers, on one log in
# the page cache: bench.sh program [megabytes]
#
# Each round runs all of them in turn; the ratios are of the medians.
prog=$1 mb=${2:-200} rounds=5
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
(cd "$(dirname "$0")/.." && ${GO:-go} run ./regress/genlog -mb "$mb") >"$tmp/log" || exit 1

cat >"$tmp/awk" <<'AWK'
$5 ~ /^smtpd/ && $7 == "smtp" && $8 == "connected" {
	addr[$6] = substr($9, 9)
}
$5 ~ /^smtpd/ && $7 == "smtp" && $8 == "authentication" && $NF == "result=permfail" {
	n[addr[$6]]++
}
$7 == "smtp" && $8 == "disconnected" { delete addr[$6] }
END { for (a in n) if (n[a] > 10) print a }
AWK

median() { sort -n "$1" | awk '{ a[NR] = $1 } END { printf "%.2f", a[int((NR + 1) / 2)] }'; }

run() {
	case $1 in
	ban_smtpd) "$prog" -n -w 0 -o list -i /dev/null --pfctl /nonexistent "$tmp/log" 2>/dev/null ;;
	wc) wc -l "$tmp/log" ;;
	*) "$1" -f "$tmp/awk" "$tmp/log" ;;
	esac
}
progs="ban_smtpd wc"
for a in original-awk awk mawk; do
	command -v "$a" >/dev/null 2>&1 && progs="$progs $a"
done
for round in $(seq $rounds); do
	for p in $progs; do
		start=$(date +%s.%N)
		run "$p" >"$tmp/out.$p"
		echo "$start $(date +%s.%N)" | awk '{ print $2 - $1 }' >>"$tmp/time.$p"
	done
done
ours=$(median "$tmp/time.ban_smtpd")
printf '%-14s %8s %8s\n' "$mb MB" seconds ratio
for p in $progs; do
	m=$(median "$tmp/time.$p")
	printf '%-14s %8s %8s\n' "$p" "$m" "$(echo "$m $ours" | awk '{ printf "%.1f", $1 / ($2 > 0 ? $2 : 0.01) }')"
done
sort "$tmp/out.ban_smtpd" >"$tmp/a"
sort "$tmp/out.original-awk" 2>/dev/null >"$tmp/b"
[ -s "$tmp/b" ] && echo "same list as awk: $(cmp -s "$tmp/a" "$tmp/b" && echo yes || echo no)"
exit 0
