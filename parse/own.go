package parse

import (
	"bytes"
	"net/netip"
)

// own reads what ban_smtpd itself writes about a client that leaves the table,
// which is all that it has to remember:
//
//	pardon address=ADDR
//	expire address=ADDR since=TIME
//
// ADDR is an address or a prefix. The line is believed for its tag, which no
// client of any daemon can write; the users of the host can, with logger(1).
func own(msg []byte, _ *wanted, e *Event) bool {
	verb, rest, _ := bytes.Cut(msg, []byte(" address="))
	if s := string(verb); s != "pardon" && s != "expire" {
		return false
	}
	text, _, _ := bytes.Cut(rest, []byte(" "))
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		a, err := netip.ParseAddr(string(text))
		if err != nil || a.Zone() != "" {
			return false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	e.Kind, e.Addr, e.Bits = Release, p.Addr(), uint8(p.Bits())
	return true
}
