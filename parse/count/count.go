// Package count joins the events of a log into sessions, counts the failed
// logins of each client, and judges who is over the limit. It knows nothing of
// daemons, and is told the time.
package count

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"ban_smtpd/parse"
)

// Rules are the rules of judgement; see ban_smtpd(8).
type Rules struct {
	Tries   int           // a client with more failures than this …
	Within  time.Duration // … in a window of this length is over the limit; 0: in all of the log
	Expire  time.Duration // a ban is in force so long after the failure that crossed the limit
	Prefix4 int           // length of the prefix that is one client, 0 to 32
	Prefix6 int           // and 0 to 128

	Now   time.Time // the time of judgement
	Ended bool      // nothing after Now is looked at, as if the log had ended there

	Ignored  func(netip.Addr) bool   // never counted
	Overlaps func(netip.Prefix) bool // such a prefix is judged address by address
}

// Offender is a client over the limit, whose ban is in force.
type Offender struct {
	Prefix   netip.Prefix
	Failures int
	Users    int      // different names that were tried, at most maxUsers are told apart
	Names    []string // the first three of them, as logged
	First    time.Time
	Last     time.Time
}

// Totals says what was counted, and what was not.
type Totals struct {
	Failures  int // failed logins
	Outside   int // of these, older than the window
	Clients   int // clients that failed
	Local     int // failures of clients that did not come from the network
	Nameless  int // failures whose session is not in the log, so nobody knows the address
	Misdated  int // events more than a day in the future, which are not counted
	Addressed int // failures whose address was known
}

const (
	maxUsers = 32  // names told apart for a client
	maxNames = 3   // names kept
	maxName  = 255 // bytes kept of one; smtpd(8) logs no more
)

// slack is how far in the future a stamp may lie and still count as now:
// clocks differ, and a wrong time zone is up to half a day.
const slack = 24 * time.Hour

// Counter counts.
type Counter struct {
	Totals Totals

	rules    Rules
	now      int64
	within   int64 // seconds
	expire   int64
	seed     maphash.Seed // so that nobody can choose two names with one hash
	sessions *sessions
	clients  map[netip.Addr]*client // by the first address of the prefix
}

// client is what is known of one client. While it is under the limit, fails
// has its failures inside the window; at the one that crosses the limit they
// are dropped, and until the ban ends only the sums grow.
type client struct {
	prefix netip.Prefix
	fails  []fail   // in order of time
	users  []uint64 // hashes of the names in fails, or of the ban
	names  []string // the names of the first of users
	banned bool     // over the limit
	since  int64    // when it crossed the limit

	failures    int // the sum of fails, or of the ban
	first, last int64
}

type fail struct {
	time  int64
	user  uint64
	count int
}

// New returns a counter.
func New(r Rules) *Counter {
	return &Counter{
		rules:    r,
		now:      r.Now.Unix(),
		within:   int64(r.Within / time.Second),
		expire:   int64(r.Expire / time.Second),
		seed:     maphash.MakeSeed(),
		sessions: newSessions(),
		clients:  map[netip.Addr]*client{},
	}
}

// Add counts an event.
func (c *Counter) Add(e *parse.Event) {
	when := e.Time
	if when > c.now {
		switch {
		case c.rules.Ended:
			return
		case when > c.now+int64(slack/time.Second):
			c.Totals.Misdated++
			return
		}
		when = c.now
	}
	switch e.Kind {
	case parse.Connect:
		c.sessions.connect(e)
	case parse.Failure:
		c.failure(e, when)
	case parse.Success:
		c.success(e, when)
	case parse.Disconnect:
		c.sessions.disconnect(e)
	}
}

// find returns the client that addr is counted as, nil if it is not known yet,
// and its prefix. The first address of that is of no other client: either all
// of a prefix is one client, or each address in it is. A prefix that is known
// was found to hold nothing ignored, and is not asked about again.
func (c *Counter) find(addr netip.Addr) (*client, netip.Prefix) {
	bits := c.rules.Prefix6
	if addr.Is4() {
		bits = c.rules.Prefix4
	}
	p, _ := addr.Prefix(bits) // Rules say that it fits
	if cl := c.clients[p.Addr()]; cl != nil && cl.prefix == p {
		return cl, p
	}
	if !p.IsSingleIP() && c.rules.Overlaps(p) {
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	return c.clients[p.Addr()], p
}

func (c *Counter) failure(e *parse.Event, when int64) {
	c.Totals.Failures += e.Count
	if c.within > 0 && when <= c.now-c.within {
		c.Totals.Outside += e.Count
	}
	addr, known := c.sessions.addr(e)
	switch {
	case !known:
		c.Totals.Nameless += e.Count
		return
	case !addr.IsValid():
		c.Totals.Local += e.Count
		return
	}
	c.Totals.Addressed += e.Count
	cl, prefix := c.find(addr)
	if cl == nil {
		if c.rules.Ignored(addr) {
			return
		}
		cl = &client{prefix: prefix}
		c.clients[prefix.Addr()] = cl
		c.Totals.Clients++
	}
	cl.failed(c, e, when)
}

// failed counts a failure of the client.
func (cl *client) failed(c *Counter, e *parse.Event, when int64) {
	cl.pass(c, when)
	name := maphash.Bytes(c.seed, e.User)
	if cl.banned {
		cl.failures += e.Count
		cl.first, cl.last = min(cl.first, when), max(cl.last, when)
		cl.named(name, e.User)
		return
	}
	// Two hosts in one log, or a clock that was set back: nearly always last.
	i := len(cl.fails)
	for i > 0 && cl.fails[i-1].time > when {
		i--
	}
	cl.fails = slices.Insert(cl.fails, i, fail{when, name, e.Count})
	cl.failures += e.Count
	cl.named(name, e.User)
	cl.slide(c)
	if cl.failures <= c.rules.Tries {
		return
	}
	cl.banned, cl.since = true, when
	cl.first, cl.last = cl.fails[0].time, cl.fails[len(cl.fails)-1].time
	cl.fails = nil
}

// success forgives the failures of a user who is now known to be who he says,
// and of no other: a bot that has one good password keeps its guesses at the
// rest. Over the limit nothing is forgiven.
func (c *Counter) success(e *parse.Event, when int64) {
	addr, known := c.sessions.addr(e)
	if !known || !addr.IsValid() {
		return
	}
	cl, _ := c.find(addr)
	if cl == nil {
		return
	}
	cl.pass(c, when)
	if cl.banned {
		return
	}
	name := maphash.Bytes(c.seed, e.User)
	cl.fails = slices.DeleteFunc(cl.fails, func(f fail) bool {
		if f.user != name {
			return false
		}
		cl.failures -= f.count
		return true
	})
	cl.forget(func(user uint64) bool { return user == name })
}

// pass ends a ban whose time is over at when. What led to it, and what came
// while it was in force, is spent: the client begins anew.
func (cl *client) pass(c *Counter, when int64) {
	if cl.banned && c.within > 0 && when > cl.since+c.expire {
		*cl = client{prefix: cl.prefix}
	}
}

// slide drops what the window, which ends with the latest failure, has left.
func (cl *client) slide(c *Counter) {
	if c.within == 0 {
		return
	}
	begin := cl.fails[len(cl.fails)-1].time - c.within
	n := 0
	for n < len(cl.fails) && cl.fails[n].time <= begin {
		cl.failures -= cl.fails[n].count
		n++
	}
	if n > 0 {
		cl.fails = cl.fails[n:]
		cl.forget(func(user uint64) bool {
			return !slices.ContainsFunc(cl.fails, func(f fail) bool { return f.user == user })
		})
	}
}

// named remembers a user name.
func (cl *client) named(user uint64, name []byte) {
	if len(cl.users) >= maxUsers || slices.Contains(cl.users, user) {
		return
	}
	if n := len(cl.users); n == len(cl.names) && n < maxNames {
		cl.names = append(cl.names, string(name[:min(len(name), maxName)]))
	}
	cl.users = append(cl.users, user)
}

// forget forgets the users of which gone is true.
func (cl *client) forget(gone func(user uint64) bool) {
	users, names := cl.users[:0], cl.names[:0]
	for i, u := range cl.users {
		if gone(u) {
			continue
		}
		users = append(users, u)
		if i < len(cl.names) {
			names = append(names, cl.names[i])
		}
	}
	cl.users, cl.names = users, names
}

// Offenders returns the clients whose ban is in force, in no order.
func (c *Counter) Offenders() []Offender {
	var list []Offender
	for _, cl := range c.clients {
		if !cl.banned || c.within > 0 && c.now > cl.since+c.expire {
			continue
		}
		o := Offender{
			Prefix:   cl.prefix,
			Failures: cl.failures,
			Users:    len(cl.users),
			Names:    cl.names,
			First:    time.Unix(cl.first, 0),
			Last:     time.Unix(cl.last, 0),
		}
		list = append(list, o)
	}
	return list
}
