package parse

import "bytes"

// saslauthd reads saslauthd(8) of Cyrus SASL, saslauthd/saslauthd-main.c; 2.1.28
// was seen:
//
//	: auth failure: [user=USER] [service=smtp] [realm=REALM] [mech=pam] [reason=TEXT]
//
// It does not know who asks. Whoever does, such as Postfix, tells of the
// failure too.
func saslauthd(msg []byte, _ *wanted, e *Event) bool {
	e.Kind = Anonymous
	function, _, ok := bytes.Cut(msg, []byte(": auth failure: [user="))
	return ok && bytes.IndexByte(bytes.TrimRight(function, " "), ' ') < 0
}
