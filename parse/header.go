package parse

import (
	"bytes"
	"hash/maphash"
)

// header is what stands between the time stamp and the message.
type header struct {
	host    uint64  // a number of the host
	format  *format // nil for a program whose lines are not read
	process uint64  // a number of the process, among those of its host; not 0
}

// hostNumber returns a number of a host that logs: a hash. There are few, and no
// client can name one.
func hostNumber(name []byte) uint64 { return maphash.Bytes(hostSeed, name) }

var hostSeed = maphash.MakeSeed()

// cutHeader returns the message of a line whose stamp is cut off, and sets
// p.line. The forms, all seen in logs of real syslogds:
//
//	HOST TAG[PID]: MESSAGE              syslogd(8), rsyslog
//	TAG[PID]: MESSAGE                   forwarded without a host name
//	HOST FACILITY.LEVEL TAG: MESSAGE    busybox; FreeBSD's syslogd -v, in <>
//	HOST PROGRAM PID - - MESSAGE        RFC 5424, FreeBSD's syslogd -O rfc5424
//
// The tag is the first word that ends in a colon, and at most the third.
// What stands right of it may be a client's and is not looked at.
func (p *Parser) cutHeader(rest []byte) (msg []byte, ok bool) {
	// Neighbouring lines mostly have the same host and tag.
	if n := len(p.head); n > 0 && len(rest) > n && bytes.Equal(rest[:n], p.head) {
		return rest[n:], true
	}
	var host, name []byte
	var pid uint32
	if p.stamp.rfc5424 {
		host, name, pid, msg, ok = header5424(rest)
	} else {
		host, name, pid, msg, ok = headerBSD(rest)
	}
	if !ok {
		return nil, false
	}
	p.head = append(p.head[:0], rest[:len(rest)-len(msg)]...)
	p.line = header{host: hostNumber(host)}
	p.sieve = all
	for i := range formats {
		if f := &formats[i]; f.is(name) {
			if f.sieve != nil {
				p.sieve = f.sieve(&p.wanted)
			}
			p.line.format, p.line.process = f, uint64(i+1)<<32|uint64(pid)
			break
		}
	}
	return msg, true
}

func headerBSD(rest []byte) (host, name []byte, pid uint32, msg []byte, ok bool) {
	host, after, ok := word(rest)
	tag := host
	if isTag(tag) {
		host = nil
	} else if ok {
		if tag, after, ok = word(after); ok && !isTag(tag) && isPriority(tag) {
			tag, after, ok = word(after)
		}
	}
	if !ok || !isTag(tag) || len(after) == 0 || after[0] != ' ' {
		return nil, nil, 0, nil, false
	}
	name, pid = program(tag)
	return host, name, pid, after[1:], true
}

func header5424(rest []byte) (host, name []byte, pid uint32, msg []byte, ok bool) {
	host, rest, _ = word(rest)
	name, rest, _ = word(rest)
	process, rest, _ := word(rest)
	_, rest, _ = word(rest) // the kind of message
	data, rest, ok := word(rest)
	if !ok || string(data) != "-" || len(rest) == 0 {
		return nil, nil, 0, nil, false
	}
	pid, _ = number(process)
	return host, name, pid, rest[1:], true
}

// word returns the word after one space, and what follows it.
func word(b []byte) (w, after []byte, ok bool) {
	if len(b) < 2 || b[0] != ' ' {
		return nil, nil, false
	}
	b = b[1:]
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		i = len(b)
	}
	return b[:i], b[i:], i > 0
}

func isTag(w []byte) bool {
	return len(w) > 1 && w[len(w)-1] == ':'
}

// isPriority tells facility.level, such as mail.info or <mail.info>.
func isPriority(w []byte) bool {
	w = bytes.TrimSuffix(bytes.TrimPrefix(w, []byte("<")), []byte(">"))
	facility, level, ok := bytes.Cut(w, []byte("."))
	return ok && isAlnum(facility) && isAlnum(level)
}

func isAlnum(w []byte) bool {
	for _, c := range w {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(w) > 0
}

// program returns smtpd and 20 of smtpd[20]: and smtpd and 0 of smtpd:
func program(tag []byte) (name []byte, pid uint32) {
	tag = tag[:len(tag)-1]
	i := bytes.IndexByte(tag, '[')
	if i <= 0 || tag[len(tag)-1] != ']' {
		return tag, 0
	}
	n, _ := number(tag[i+1:])
	return tag[:i], n
}

func (f *format) is(program []byte) bool {
	for _, tag := range f.tags {
		if string(program) == tag || tag[0] == '/' && len(program) > len(tag) && bytes.HasSuffix(program, []byte(tag)) {
			return true
		}
	}
	return false
}

// repetition reads what syslogd(8) writes instead of a line that is the same
// as the one before it: " HOST last message repeated N times", without a tag.
// It returns 0 if the line is not that.
func repetition(rest []byte) (n uint32, host []byte) {
	const words = " last message repeated "
	i := bytes.Index(rest, []byte(words))
	if i < 0 || i > 0 && (rest[0] != ' ' || bytes.IndexByte(rest[1:i], ' ') >= 0) {
		return 0, nil
	}
	if i > 0 {
		host = rest[1:i]
	}
	n, after := number(rest[i+len(words):])
	if s := string(after); s != " times" && s != " time" {
		return 0, nil
	}
	return n, host
}

// unfold reads rsyslog's form of a repetition, which has the text in it:
// "message repeated N times: [ TEXT]". A message that is not that is returned
// as it is, with a count of 1. No daemon that is read here begins a message
// with a client's words.
func unfold(msg []byte) (text []byte, n uint32) {
	if len(msg) == 0 || msg[0] != 'm' { // nearly always
		return msg, 1
	}
	after, ok := bytes.CutPrefix(msg, []byte("message repeated "))
	if !ok {
		return msg, 1
	}
	n, after = number(after)
	after, ok = bytes.CutPrefix(after, []byte(" times: [ "))
	if !ok || n == 0 || len(after) == 0 || after[len(after)-1] != ']' {
		return msg, 1
	}
	return after[:len(after)-1], n
}

// number reads decimal digits, at most nine; 0 if there are none.
func number(b []byte) (n uint32, after []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		if n > 99_999_999 {
			return 0, b
		}
		n = n*10 + uint32(b[0]-'0')
		b = b[1:]
	}
	return n, b
}
