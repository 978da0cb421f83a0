// Package parse turns the bytes of a mail log into events: who connected, who
// failed to log in, who succeeded, who left, who was let in again.
//
// A client writes part of almost every line: its user name, its commands, its
// HELO name. So position decides here, never a search: each field is taken at
// its distance from the line's left end, or from its very right end, and what
// lies between is not looked at. A line that does not fit is skipped.
package parse

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// MaxLine is the length in bytes above which a line is skipped unread. The
// longest that a real daemon was seen to write has about 4,200: a command of
// 2,047 bytes, each encoded as two. syslogd cuts at 8,192.
const MaxLine = 64 << 10

// maxUser is how many bytes of a user's name are told. smtpd(8) logs 255; nobody who
// logs in has such a name.
const maxUser = 1 << 10

// Kind says what an event is.
type Kind uint8

const (
	Connect    Kind = iota + 1 // a session began, from Addr
	Failure                    // of Class, Each times
	AtLeast                    // the session has had Each failures by now, of which those not told before are of Class
	Foretold                   // a Failure that an Echo may follow
	Echo                       // a Failure, unless it was Foretold just before
	Hint                       // the session is of Class, unless what else is in it says otherwise
	Success                    // User logged in
	Disconnect                 // the session ended
	Release                    // Addr, or the prefix of it that has Bits, left the table
	Anonymous                  // a Failure that is logged without saying whose
	repeat                     // the last line of the chunk before, Count times more
)

// Class says what a client failed at.
type Class uint8

const (
	Auth    Class = iota // complete credentials were checked and refused
	Abort                // a login was begun, and no credentials were checked
	Harvest              // a recipient was refused because there is no such user
	Scan                 // a session that never got as far as speaking the protocol
	nothing              // no failure, but a reason why a session is not of another class
)

// ClassNames are the classes as an admin calls them.
var ClassNames = [...]string{Auth: "auth", Abort: "abort", Harvest: "harvest", Scan: "scan"}

// Classes is a set of classes.
type Classes [len(ClassNames)]bool

// Event is what one line of a log says. User is valid only as long as the chunk is.
type Event struct {
	Kind    Kind
	Class   Class
	Spoke   bool       // of Disconnect: the client spoke the protocol, whatever Hint said
	Bits    uint8      // of Release, the length of the prefix
	Each    uint32     // failures that one line tells of
	Count   uint32     // how often it happened; more than 1 where syslogd folded lines
	Time    int64      // seconds since 1970, as the logging host's clock had it
	Session uint64     // joins the lines of a login. 0: what is known is in this line
	Addr    netip.Addr // the client, where the line names it. Not valid in Connect: not from the network
	User    []byte     // as logged, with the daemon's and syslogd's encoding, but at most maxUser bytes; nil if no name was given
}

// A format turns a message of one daemon into an event, and says whether it is
// one. It keeps no state. Each is 1, Session the process, and Time and Count are
// those of the line, unless it says otherwise. It need not look at what can only
// be of classes that are not wanted.
type format struct {
	parse func(msg []byte, w *wanted, e *Event) bool
	sieve func(w *wanted) sieve // if not nil, what it stops need not be parsed
	tags  []string              // "/smtpd" is that of any instance: postfix/smtpd, postfix/submission/smtpd
}

// formats is the table of all daemons whose lines are read. To add one is to
// add a line here.
var formats = [...]format{
	{opensmtpd, opensmtpdSieve, []string{"smtpd"}},
	{postfix, nil, []string{"/smtpd"}},
	{dovecot, nil, []string{"dovecot", "imap-login", "pop3-login", "submission-login", "managesieve-login"}},
	{saslauthd, nil, []string{"saslauthd"}},
	{sshd, nil, []string{"sshd", "sshd-session", "sshd-auth"}}, // the second since 9.8, the third since 10.0
	{own, nil, []string{"ban_smtpd"}},
}

// Chunk is what was found in a piece of a log that begins and ends with whole lines.
type Chunk struct {
	Events  []Event
	Lines   int // all lines
	Skipped int // lines without a syslog header, or too long

	users []byte // the names in Events
	event bool   // the last line, or the one that it repeats, was an event: the last of Events
	host  uint64 // of that line
	alone bool   // all lines were repetitions of one in the chunk before
}

// wanted says which classes are; other events are dropped.
type wanted [nothing + 1]bool

// Parser reads chunks. It remembers nothing of one chunk for the next but how
// a time stamp was computed, so several can share a log between them.
type Parser struct {
	stamp  stamps
	wanted wanted

	// Of the line before, all that is left of the message, and what it says:
	// neighbouring lines mostly have it in common.
	left  beginning
	when  int64
	head  []byte // of left, the host and the tag, with the spaces around them
	line  header
	sieve sieve // of line.format
}

// ahead is how much later than the log was written a stamp may seem to be: by
// clocks that differ, and with --at by lines that are really later. So a log
// that is younger than eleven months gets the right year.
const ahead = 30 * 24 * time.Hour

// NewParser returns a parser for a log that was last written to at that time
// and has local stamps in loc. A stamp without a year is of the last one in
// which it is not more than a month later than the log. Failures of other
// classes than the wanted are not told, but for auth, which the others depend on.
func NewParser(loc *time.Location, written time.Time, wanted Classes) *Parser {
	latest := written.Add(ahead).In(loc)
	p := &Parser{stamp: stamps{loc: loc, latest: latest.Unix(), year: latest.Year()}}
	copy(p.wanted[:], wanted[:])
	p.wanted[Auth] = true
	p.wanted[nothing] = wanted[Abort] || wanted[Scan]
	return p
}

// Stamps returns the first and the last time that stand in a piece of a log,
// if one does.
func (p *Parser) Stamps(text []byte) (first, last int64, ok bool) {
	for line := range bytes.Lines(text) {
		when, _, found := p.stamp.cut(line)
		if !found {
			continue
		}
		if last = when; !ok {
			first, ok = when, true
		}
	}
	return first, last, ok
}

// Size is how much memory the chunk takes, in bytes.
func (c *Chunk) Size() int {
	const event = 80 // of this size is an Event
	return cap(c.Events)*event + cap(c.users)
}

// Parse sets c to what is in text, of which nothing is needed after that. The last
// line needs no newline.
func (p *Parser) Parse(text []byte, c *Chunk) {
	*c = Chunk{Events: c.Events[:0], users: c.users[:0], alone: true}
	for at := 0; at < len(text); {
		line := text[at:]
		n := p.left.of(line) // mostly a line begins as the one before did
		i := bytes.IndexByte(line[n:], '\n')
		if i < 0 {
			i = len(line) - n
		}
		line = line[:n+i]
		at += n + i + 1
		c.Lines++
		if n == 0 || n+i > MaxLine {
			if n = p.cut(line, c); n == 0 {
				continue
			}
		}
		c.event, c.alone = false, false
		msg := line[n:]
		switch {
		case p.line.format == nil:
		case len(msg) > 0 && msg[0] == 'm':
			text, count := unfold(msg)
			p.parse(text, count, c)
		case !p.sieve.stops(msg):
			p.parse(msg, 1, c)
		}
	}
}

// parse adds the event of a message that was logged n times, if it is one.
func (p *Parser) parse(msg []byte, n uint32, c *Chunk) {
	// In its place, as an Event of its own would be allocated for each line.
	if len(c.Events) == cap(c.Events) {
		c.Events = slices.Grow(c.Events, 64)
	}
	c.Events = c.Events[:len(c.Events)+1]
	e := &c.Events[len(c.Events)-1]
	*e = Event{}
	e.Time, e.Count, e.Each, e.Session = p.when, n, 1, p.line.process
	if !p.line.format.parse(msg, &p.wanted, e) || !p.wanted[e.Class] && e.Kind != Disconnect {
		c.Events = c.Events[:len(c.Events)-1]
		return
	}
	if n := min(len(e.User), maxUser); n > 0 {
		// The text is soon overwritten.
		c.users = append(c.users, e.User[:n]...)
		e.User = c.users[len(c.users)-n:]
	}
	c.event, c.host = true, p.line.host
	if e.Session != 0 {
		e.Session ^= p.line.host
	}
}

// cut returns where the message of a line begins, and sets p.when and p.line. It
// is 0 if the line has none.
func (p *Parser) cut(line []byte, c *Chunk) int {
	when, rest, ok := p.stamp.cut(line)
	if ok && len(line) <= MaxLine {
		if msg, ok := p.cutHeader(rest); ok {
			n := len(line) - len(msg)
			p.when, p.left.n = when, 0
			if !p.stamp.fraction {
				p.left.set(line[:n])
			}
			return n
		}
		if n, host := repetition(rest); n > 0 {
			c.repeated(n, hostNumber(host), when)
			return 0
		}
	}
	c.Skipped++
	c.event, c.alone = false, false
	return 0
}

// repeated adds what "last message repeated n times" says: the event of the
// line before once more, n times, if that line is of the same host. The line
// before the chunk's first is not known here; see Resolve.
func (c *Chunk) repeated(n uint32, host uint64, when int64) {
	var e Event
	switch {
	case c.alone:
		e = Event{Kind: repeat, Session: host}
	case c.event && c.host == host:
		e = c.Events[len(c.Events)-1]
	default:
		return
	}
	e.Count, e.Time = n, when
	c.Events = append(c.Events, e)
}

// End is the end of a chunk: the event that is repeated if the next one begins
// with a repetition.
type End struct {
	event Event // of no kind if the last line is no event
	host  uint64
}

// Resolve gives the repetitions at the beginning of c their event, which is
// the end of the chunk before in the same file; those of a line that was no
// event are dropped. It returns c's own end, which does not point into c.
func Resolve(c *Chunk, before End) End {
	if len(c.Events) > 0 && c.Events[0].Kind == repeat {
		resolved := c.Events[:0]
		for _, e := range c.Events {
			if e.Kind == repeat {
				if before.event.Kind == 0 || before.host != e.Session {
					continue
				}
				n, when := e.Count, e.Time
				e = before.event
				e.Count, e.Time = n, when
			}
			resolved = append(resolved, e)
		}
		c.Events = resolved
	}
	switch {
	case c.alone:
		return before
	case !c.event:
		return End{}
	}
	end := End{c.Events[len(c.Events)-1], c.host}
	end.event.User = bytes.Clone(end.event.User)
	return end
}
