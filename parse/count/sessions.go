package count

import (
	"cmp"
	"net/netip"
	"slices"

	"ban_smtpd/parse"
)

// maxSessions is how many open sessions are remembered at least; at most twice
// as many are. smtpd(8) has one for each connection, so a busy server has some
// hundreds. A log whose sessions never end, as of a daemon that was killed
// again and again, must not take all memory.
const maxSessions = 1 << 15

// sessions knows from which address a session came, and what became of it.
//
// It has two generations. When the young one is full, the old one is dropped
// and the young one grows old; a session that is heard of is young again. So
// the ones dropped are those that were silent for longest.
type sessions struct {
	young, old map[key]session

	hosts map[string]uint64 // log hosts by name; few, and no client can name one
	last  string            // the host of the event before, mostly that of the next too
	host  uint64            // its number
}

// key is without padding, so that it is hashed in one go.
type key struct {
	host, id uint64
}

// session is what is known of one.
type session struct {
	addr  netip.Addr // not valid if the client did not come from the network
	hint  int64      // when it was hinted that it is of a class
	told  uint32     // failures that were counted, or need not be
	owed  uint32     // of these, counted before there was a line of their own
	echo  bool       // the last failure was foretold, so an echo is of the same
	abort bool       // it is hinted that it is of that class
	scan  bool
	spoke bool // a login was tried, so it is no scan
}

func newSessions() *sessions {
	return &sessions{young: map[key]session{}, hosts: map[string]uint64{}}
}

func (s *sessions) key(e *parse.Event) key {
	if string(e.Host) != s.last || len(s.hosts) == 0 {
		s.last = string(e.Host)
		host, known := s.hosts[s.last]
		if !known {
			host = uint64(len(s.hosts))
			s.hosts[s.last] = host
		}
		s.host = host
	}
	return key{s.host, e.Session}
}

// connect remembers the address of a session. The first one stands: a daemon
// tells it once.
func (s *sessions) connect(e *parse.Event) {
	k := s.key(e)
	if _, known := s.find(k); !known {
		s.put(k, session{addr: e.Addr})
	}
}

// of returns e's session. Where the daemon repeats the address in each line, its
// first line begins the session, and so does one with another address: a process
// has one client after the other.
func (s *sessions) of(e *parse.Event) (k key, state session, known bool) {
	if e.Session == 0 {
		return k, session{addr: e.Addr}, e.Addr.IsValid()
	}
	k = s.key(e)
	state, known = s.find(k)
	if e.Addr.IsValid() && state.addr != e.Addr {
		state, known = session{addr: e.Addr}, true
	}
	return k, state, known
}

func (s *sessions) find(k key) (session, bool) {
	state, known := s.young[k]
	if !known && len(s.old) > 0 {
		if state, known = s.old[k]; known {
			delete(s.old, k)
			s.put(k, state)
		}
	}
	return state, known
}

func (s *sessions) put(k key, state session) {
	if len(s.young) >= maxSessions {
		s.old, s.young = s.young, make(map[key]session, maxSessions)
	}
	s.young[k] = state
}

func (s *sessions) disconnect(k key) {
	delete(s.young, k)
	delete(s.old, k)
}

// open returns the sessions that have not ended and of which something was
// hinted, in the order of the hints.
func (s *sessions) open() []session {
	var list []session
	for _, m := range []map[key]session{s.young, s.old} {
		for _, state := range m {
			if state.abort || state.scan {
				list = append(list, state)
			}
		}
	}
	slices.SortFunc(list, func(a, b session) int {
		return cmp.Or(cmp.Compare(a.hint, b.hint), a.addr.Compare(b.addr))
	})
	return list
}
