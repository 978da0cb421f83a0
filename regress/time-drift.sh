# The clock was set back by an hour just after a run, which made the newest entry
# of the table. What was logged since has stamps from before that, also in the
# log that was rotated since. Nothing of it is missed, with a window of minutes.
bot 1800 203.0.113.1 3c41a8f5b2d90001 >"$tmp/log"
bot 3000 203.0.113.2 3c41a8f5b2d90002 >"$tmp/log.0"
bot 90000 203.0.113.3 3c41a8f5b2d90003 >"$tmp/log.1"
pf 600 -q -t bot -T add 192.0.2.1
"$prog" --pfctl "$PFCTL" -i /dev/null -w 10m "$tmp/log"
pf 0 -t bot -T show
