# What -p does. There may be no syslogd here: what it cannot write, it says.
pardon() {
	echo "-- -p $*"
	"$prog" --pfctl "$PFCTL" -p "$@" 2>/dev/null
	calls
	pf 0 -t bot -T show
}
pf 100 -q -t bot -T add 203.0.113.7 203.0.113.8 198.51.100.0/24 2001:db8:1:2::/64 10.0.0.0/8 '!10.1.0.0/16'
calls >/dev/null
pardon 203.0.113.7
pardon 203.0.113.7
pardon 203.0.113.0/24 -n
pardon 198.51.100.77 -p 2001:db8:1:2::5 -p 10.1.2.3
pardon 203.0.113.0/24 -t other
pf 0 --event heal
for bad in '' x 203.0.113 203.0.113.7/33 fe80::1%lo0 -1; do
	"$prog" --pfctl "$PFCTL" "-p$bad" 2>&1 >/dev/null | sed 1q
done
calls
"$PFCTL" --event fail show 1 'pfctl: /dev/pf: Permission denied'
"$prog" --pfctl "$PFCTL" -p 203.0.113.7 2>&1 | grep -v 'is not pardoned'
