package count

import (
	"net/netip"

	"ban_smtpd/parse"
)

// maxSessions is how many open sessions are remembered at least; at most twice
// as many are. smtpd(8) has one for each connection, so a busy server has some
// hundreds. A log whose sessions never end, as of a daemon that was killed
// again and again, must not take all memory.
const maxSessions = 1 << 15

// sessions knows from which address a session came.
//
// It has two generations. When the young one is full, the old one is dropped
// and the young one grows old; a session that is heard of is young again. So
// the ones dropped are those that were silent for longest.
type sessions struct {
	young, old map[session]netip.Addr

	hosts map[string]uint64 // log hosts by name; few, and no client can name one
	last  string            // the host of the event before, mostly that of the next too
	host  uint64            // its number
}

// session is without padding, so that it is hashed in one go.
type session struct {
	host, id uint64
}

func newSessions() *sessions {
	return &sessions{young: map[session]netip.Addr{}, hosts: map[string]uint64{}}
}

func (s *sessions) key(e *parse.Event) session {
	if string(e.Host) != s.last || len(s.hosts) == 0 {
		s.last = string(e.Host)
		host, known := s.hosts[s.last]
		if !known {
			host = uint64(len(s.hosts))
			s.hosts[s.last] = host
		}
		s.host = host
	}
	return session{s.host, e.Session}
}

// connect remembers the address of a session. The first one stands: a daemon
// tells it once.
func (s *sessions) connect(e *parse.Event) {
	key := s.key(e)
	if _, known := s.find(key); !known {
		s.add(key, e.Addr)
	}
}

// addr returns the address of e's client. It is not valid, but known, if the
// client did not come from the network.
func (s *sessions) addr(e *parse.Event) (addr netip.Addr, known bool) {
	if e.Addr.IsValid() {
		return e.Addr, true
	}
	return s.find(s.key(e))
}

func (s *sessions) find(key session) (netip.Addr, bool) {
	addr, known := s.young[key]
	if !known && len(s.old) > 0 {
		if addr, known = s.old[key]; known {
			delete(s.old, key)
			s.add(key, addr)
		}
	}
	return addr, known
}

func (s *sessions) add(key session, addr netip.Addr) {
	if len(s.young) >= maxSessions {
		s.old, s.young = s.young, make(map[session]netip.Addr, maxSessions)
	}
	s.young[key] = addr
}

func (s *sessions) disconnect(e *parse.Event) {
	key := s.key(e)
	delete(s.young, key)
	delete(s.old, key)
}
