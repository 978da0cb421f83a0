package count

import (
	"cmp"
	"slices"

	"ban_smtpd/parse"
)

// session is what is known of one that has not ended.
type session struct {
	addr  key    // zero if the client did not come from the network
	hint  uint32 // when it was hinted that it is of a class, in seconds since 1970
	told  uint32 // failures that were counted, or need not be
	owed  uint32 // of these, counted before there was a line of their own
	known bool   // whose it is
	echo  bool   // the last failure was foretold, so an echo is of the same
	abort bool   // it is hinted that it is of that class
	scan  bool
	spoke bool // a login was tried, so it is no scan
}

func (s *session) hinted(class parse.Class, when int64) {
	switch s.hint = seconds(when); class {
	case parse.Abort:
		s.abort = true
	case parse.Scan:
		s.scan = true
	default:
		s.spoke = true
	}
}

// sessionOf returns e's session. Where the daemon repeats the address in each
// line, its first line begins the session, and so does one with another address:
// a process has one client after the other. A session of which nothing is to be
// remembered, for one reason or another, is put into none.
func (c *Counter) sessionOf(e *parse.Event, none *session) *session {
	var s *session
	if e.Session != 0 {
		s = c.sessions.get(key{hi: e.Session})
	}
	if !e.Addr.IsValid() {
		if s == nil {
			return none
		}
		return s
	}
	addr := keyOf(e.Addr)
	switch {
	case s != nil && s.addr == addr:
		return s
	case e.Session == 0 || e.Kind == parse.Disconnect:
		s = none
	case s == nil:
		s, _ = c.sessions.add(key{hi: e.Session})
	}
	*s = session{addr: addr, known: true}
	return s
}

// unended returns the sessions that have not ended and of which something was
// hinted, in the order of the hints.
func (c *Counter) unended() []session {
	var list []session
	for _, s := range c.sessions.all {
		if s.abort || s.scan {
			list = append(list, *s)
		}
	}
	slices.SortFunc(list, func(a, b session) int {
		return cmp.Or(cmp.Compare(a.hint, b.hint), cmp.Compare(a.addr.hi, b.addr.hi), cmp.Compare(a.addr.lo, b.addr.lo))
	})
	return list
}
