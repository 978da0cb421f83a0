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
	event, rest := smtpdWord(msg[smtpdEvent:])
	ok := false
	switch string(event) {
	case "connected":
		ok = smtpdConnected(rest, e)
	case "authentication":
		ok = smtpdAuthentication(rest, e)
	case "disconnected", "closed":
		e.Kind, ok = Disconnect, true
		if !bytes.HasPrefix(rest, []byte("reason=quit")) {
			e.Class = Scan // unless it has done something
		}
	case "failed-command":
		ok = smtpdFailedCommand(rest, e)
	case "bad-input":
		e.Kind, e.Class, ok = Hint, Scan, true
	case "message":
		e.Kind, e.Class, ok = Hint, nothing, true
	}
	if ok {
		e.Session, ok = hex(msg[:smtpdID])
	}
	return ok
}

// smtpdWord returns the name of an event, and what follows it. The frequent ones
// are known by their letter, so that their length need not be searched.
func smtpdWord(text []byte) (event, rest []byte) {
	n := 0
	switch text[0] {
	case 'a':
		n = len("authentication")
	case 'c':
		n = len("connected")
	case 'd':
		n = len("disconnected")
	}
	if n > 0 && len(text) > n && text[n] == ' ' {
		return text[:n], text[n+1:]
	}
	event, rest, _ = bytes.Cut(text, []byte(" "))
	return bytes.TrimPrefix(event, []byte("event=")), rest
}

// The session's number, and where the event begins.
const (
	smtpdID    = 16
	smtpdEvent = smtpdID + len(" smtp ")
)

// opensmtpdLook tells lines of a session, and of these the ones whose event may
// matter by a letter. Most do not, and to put them aside at once saves a third of
// the time.
func opensmtpdLook(msg []byte, w *wanted) bool {
	if len(msg) <= smtpdEvent || string(msg[smtpdID:smtpdEvent]) != " smtp " {
		return false
	}
	switch msg[smtpdEvent] {
	case 'a', 'c', 'd', 'e':
		return true
	case 'b', 'f', 'm':
		return w[Harvest] || w[nothing]
	}
	return false
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

// hex reads 16 lower-case hex digits, as printf's %016llx writes them.
func hex(b []byte) (n uint64, ok bool) {
	upper, okUpper := hex8(binary.BigEndian.Uint64(b))
	lower, okLower := hex8(binary.BigEndian.Uint64(b[8:]))
	return upper<<32 | lower, okUpper && okLower
}

// hex8 reads eight at once, a byte for each, which takes half the time of one
// after the other. To add to a byte so that its highest bit is set, or is not,
// compares it with a number; below 0x80 there is no carry to the next.
func hex8(x uint64) (n uint64, ok bool) {
	const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101
	digit, letter := x^0x30*each, x^0x60*each // 0 to 9, 1 to 6
	isDigit := ^(digit + (0x7f-9)*each) & high
	isLetter := (letter + 0x7f*each) &^ (letter + (0x7f-6)*each) & high
	n = x&(0x0f*each) + isLetter>>7*9
	n = (n | n>>4) & 0x00ff00ff00ff00ff
	n = (n | n>>8) & 0x0000ffff0000ffff
	n = (n | n>>16) & 0x00000000ffffffff
	return n, x&high == 0 && isDigit|isLetter == high
}
