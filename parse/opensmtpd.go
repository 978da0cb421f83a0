package parse

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// opensmtpd reads smtpd(8), usr.sbin/smtpd/smtp_session.c:
//
//	ID smtp connected address=ADDR host=NAME
//	ID smtp authentication user=USER result=permfail
//	ID smtp disconnected reason=TEXT
//
// result is also ok, or tempfail: that is the server's own trouble. ID has 16
// hex digits. 6.0 to 6.3 wrote event=connected, event=authentication and
// event=closed; from 6.0.2 to 6.4 address=ADDR host=NAME stood between user
// and result too. All of these are in the history of smtp_session.c, and 6.8,
// 7.6, 7.8 and 7.9 were seen.
//
// USER is the client's, but encoded so that it holds no white space
// (VIS_WHITE). A failed login is followed by a line that tells of the same
// attempt, and one that was refused without a look has only such a line:
//
//	ID smtp failed-command command="COMMAND" result="REPLY"
//	ID smtp bad-input result="REPLY"
//
// COMMAND is the client's and may be quoted in REPLY, neither is escaped, and so
// it is not known where the one ends. That is why a login is not read from it.
// What is read can only add to what the client itself is blamed for.
func opensmtpd(msg []byte, _ *wanted, e *Event) bool {
	const (
		connected      = "connected "
		authentication = "authentication "
		disconnected   = "disconnected "
	)
	if len(msg) <= smtpdEvent || string(msg[smtpdID:smtpdEvent]) != " smtp " {
		return false
	}
	event := msg[smtpdEvent:]
	if event[0] == 'e' {
		event = bytes.TrimPrefix(event, []byte("event="))
	}
	ok := false
	switch {
	case len(event) >= len(connected) && string(event[:len(connected)]) == connected:
		ok = smtpdConnected(event[len(connected):], e)
	case len(event) >= len(authentication) && string(event[:len(authentication)]) == authentication:
		ok = smtpdAuthentication(event[len(authentication):], e)
	case len(event) >= len(disconnected) && string(event[:len(disconnected)]) == disconnected:
		ok = smtpdDisconnected(event[len(disconnected):], e)
	default:
		ok = smtpdOther(event, e)
	}
	if ok {
		e.Session, ok = sessionID(msg[:smtpdID])
	}
	return ok
}

func smtpdOther(event []byte, e *Event) bool {
	name, rest, _ := bytes.Cut(event, []byte(" "))
	switch string(name) {
	case "closed", "disconnected": // which had no reason
		return smtpdDisconnected(rest, e)
	case "failed-command":
		return smtpdFailedCommand(rest, e)
	case "bad-input":
		e.Kind, e.Class = Hint, Scan
	case "message":
		e.Kind, e.Class = Hint, nothing
	default:
		return false
	}
	return true
}

// The session's number, and where the event begins.
const (
	smtpdID    = 16
	smtpdEvent = smtpdID + len(" smtp ")
)

// opensmtpdSieve tells lines of a session, and of these the ones whose event may
// matter by its second letter: authentication, connected, disconnected, event=…; and
// failed-command, bad-input, message.
func opensmtpdSieve(w *wanted) sieve {
	letters := "uoiv"
	if w[Harvest] || w[nothing] {
		letters += "ae"
	}
	return newSieve(smtpdID, " smtp ", letters)
}

// smtpdDisconnected reads reason=TEXT.
func smtpdDisconnected(rest []byte, e *Event) bool {
	e.Kind = Disconnect
	if !bytes.HasPrefix(rest, []byte("reason=quit")) {
		e.Class = Scan // unless it has done something
	}
	return true
}

// smtpdConnected reads address=ADDR host=NAME. NAME is the client's reverse
// DNS, and stands right of what is read.
func smtpdConnected(rest []byte, e *Event) bool {
	const next = " host="
	n := bytes.IndexByte(rest, ' ')
	if n < 0 || len(rest) < n+len(next) || string(rest[n:n+len(next)]) != next {
		return false
	}
	var ok bool
	e.Kind = Connect
	e.Addr, ok = smtpdAddress(rest[:n])
	return ok
}

// smtpdAuthentication reads user=USER result=RESULT, and the older form with
// address=ADDR host=NAME between the two.
func smtpdAuthentication(rest []byte, e *Event) bool {
	const prefix = "user="
	n := bytes.IndexByte(rest, ' ')
	if n < len(prefix) || string(rest[:len(prefix)]) != prefix {
		return false
	}
	var result []byte
	e.User, result = rest[len(prefix):n], rest[n+1:]
	if smtpdResult(result, e) {
		return true
	}
	addr, result, _ := bytes.Cut(result, []byte(" "))
	host, result, _ := bytes.Cut(result, []byte(" "))
	if !bytes.HasPrefix(host, []byte("host=")) || !smtpdResult(result, e) {
		return false
	}
	var ok bool
	e.Addr, ok = smtpdAddress(addr)
	return ok
}

func smtpdResult(field []byte, e *Event) bool {
	switch string(field) {
	case "result=permfail":
		e.Kind = Failure
	case "result=ok":
		e.Kind = Success
	default:
		return false
	}
	return true
}

// smtpdFailedCommand reads command="COMMAND" result="REPLY".
func smtpdFailedCommand(rest []byte, e *Event) bool {
	command, ok := bytes.CutPrefix(rest, []byte(`command="`))
	if !ok {
		return false
	}
	replied := func(reply string) bool { return bytes.Contains(command, []byte(`" result="`+reply)) }
	begins := func(verb string) bool {
		return len(command) >= len(verb) && bytes.EqualFold(command[:len(verb)], []byte(verb))
	}
	e.Kind, e.Class = Hint, nothing // it speaks the protocol
	switch {
	case begins("AUTH") && (replied("501 ") || replied("503 ") || replied("504 ")):
		e.Kind, e.Class = Failure, Abort
	case begins("RCPT") && (replied("550 Invalid recipient") || replied("550 5.1.1 ")):
		e.Kind, e.Class = Failure, Harvest
	case replied("500 "):
		e.Class = Scan
	}
	return true
}

// smtpdAddress reads address=ADDR as sa_to_text() in usr.sbin/smtpd/to.c
// writes it: 192.0.2.1, [2001:db8::1], before 6.6 IPv6:2001:db8::1, and for a
// client on this host's own socket local, which gives no address and is true.
func smtpdAddress(field []byte) (netip.Addr, bool) {
	const prefix = "address="
	if len(field) < len(prefix) || string(field[:len(prefix)]) != prefix {
		return netip.Addr{}, false
	}
	text := field[len(prefix):]
	if string(text) == "local" {
		return netip.Addr{}, true
	}
	if len(text) > 2 && text[0] == '[' && text[len(text)-1] == ']' {
		text = text[1 : len(text)-1]
	} else {
		text = bytes.TrimPrefix(text, []byte("IPv6:"))
	}
	return address(text)
}

// sessionID reads 16 lower-case hex digits, as printf's %016llx writes them. Only
// equal ones are equal; which number it is does not matter, and so the digits of
// one half are put between those of the other.
func sessionID(b []byte) (id uint64, ok bool) {
	first, okFirst := hex8(binary.LittleEndian.Uint64(b))
	second, okSecond := hex8(binary.LittleEndian.Uint64(b[8:]))
	return first<<4 | second, okFirst && okSecond
}

// hex8 reads eight digits at once, a byte each, which takes a third of the time of
// one after the other. No byte carries into the next.
func hex8(x uint64) (digits uint64, ok bool) {
	const each = 0x0101010101010101
	letter := x >> 6 & each // 0x61 to 0x66 have this bit, 0x30 to 0x39 have not
	digits = x&(0x0f*each) + 9*letter
	// The upper half of each byte is that of a digit or of a letter,
	wrong := x&(0xf0*each) ^ (0x30*each + 0x30*letter)
	// and what it says is 10 or more if, and only if, it is a letter, and below 16.
	wrong |= ((digits + 6*each) ^ letter<<4 | digits) & (0x10 * each)
	return digits, wrong == 0
}
