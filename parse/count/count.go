// Package count joins the events of a log into sessions, counts the failed
// logins of each client, and judges who is over the limit. It knows nothing of
// daemons, and is told the time.
package count

import (
	"hash/maphash"
	"maps"
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
	Classes parse.Classes // of the failures that count

	Now   time.Time // the time of judgement
	Ended bool      // nothing after Now is looked at, as if the log had ended there

	Ignored  func(netip.Addr) bool   // never counted
	Overlaps func(netip.Prefix) bool // such a prefix is judged address by address
}

// Offender is a client over the limit, whose ban is in force.
type Offender struct {
	Prefix   netip.Prefix
	Failures Failures
	Users    int      // different names that were tried, at most maxUsers are told apart
	Names    []string // the first three of them, as logged
	First    time.Time
	Last     time.Time
}

// Failures are how many there are of each class.
type Failures [len(parse.ClassNames)]int

// Sum returns how many there are of all.
func (f Failures) Sum() int {
	sum := 0
	for _, n := range f {
		sum += n
	}
	return sum
}

// Totals says what was counted, and what was not.
type Totals struct {
	Failures  int // of the classes that count
	Outside   int // of these, older than the window
	Clients   int // clients that failed
	Local     int // failures of clients that did not come from the network
	Nameless  int // failures whose session is not in the log, so nobody knows the address
	Misdated  int // events more than a day in the future, which are not counted
	Anonymous int // failures that the daemon logs without an address; not in Failures
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

// client is what is known of one client. A failure counts towards one ban
// only: the one that crosses the limit empties the window, and the count
// begins anew while the ban is in force.
type client struct {
	prefix netip.Prefix
	fails  []fail   // in the window, in order of time
	sum    int      // of fails
	users  []uint64 // hashes of the names in fails, and of the ban
	names  []string // the names of the first of users
	ban    *ban     // nil if there is none, or it is over
}

// ban is what is reported of a client over the limit.
type ban struct {
	since       int64 // when the limit was crossed, the last time
	failures    Failures
	first, last int64
}

type fail struct {
	time  int64
	user  uint64
	count int
	class parse.Class
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
	case parse.Release:
		c.Release(netip.PrefixFrom(e.Addr, int(e.Bits)))
	case parse.Anonymous:
		c.Totals.Anonymous += e.Count
	default:
		c.session(e, when)
	}
}

// session counts an event of a session.
func (c *Counter) session(e *parse.Event, when int64) {
	k, s, known := c.sessions.of(e)
	n := int(e.Each) * e.Count
	switch e.Kind {
	case parse.Failure, parse.Foretold, parse.Echo:
		if e.Kind == parse.Echo && s.echo {
			n = max(0, n-1)
		}
		s.echo = e.Kind == parse.Foretold
		// What was counted before its line came is not counted again.
		early := min(int(s.owed), n)
		s.owed -= uint32(early)
		n -= early
		s.told += uint32(n)
		s.spoke = true
		c.failure(e, s.addr, known, n, when)
	case parse.AtLeast:
		n = max(0, int(e.Each)-int(s.told))
		s.told, s.owed = s.told+uint32(n), s.owed+uint32(n)
		s.spoke = true
		c.failure(e, s.addr, known, n, when)
	case parse.Hint:
		switch s.hint = when; e.Class {
		case parse.Abort:
			s.abort = true
		case parse.Scan:
			s.scan = true
		default:
			s.spoke = true
		}
	case parse.Success:
		s.spoke = true
		if known && s.addr.IsValid() {
			c.success(e, s.addr, when)
		}
	case parse.Disconnect:
		c.settle(e, &s, known, when)
		c.sessions.disconnect(k)
		return
	}
	if e.Session != 0 && known {
		c.sessions.put(k, s)
	}
}

// settle counts what a session came to that no line of its own told of, now that
// it is over. Its last line has the number of failures, where it has the class.
func (c *Counter) settle(e *parse.Event, s *session, known bool, when int64) {
	n := int(e.Each) - int(s.told)
	if e.Class != parse.Abort { // the daemon does not count
		n = 0
		if s.abort && s.told == 0 {
			n = 1
		}
	}
	last := *e
	if last.Class = parse.Abort; n > 0 {
		c.failure(&last, s.addr, known, n, when)
	}
	last.Class = parse.Scan
	if (s.scan || e.Class == parse.Scan) && !s.spoke && !e.Spoke {
		c.failure(&last, s.addr, known, 1, when)
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

// failure counts n failures from addr, which is not valid, but known, if the
// client did not come from the network.
func (c *Counter) failure(e *parse.Event, addr netip.Addr, known bool, n int, when int64) {
	if n == 0 || int(e.Class) >= len(c.rules.Classes) || !c.rules.Classes[e.Class] {
		return
	}
	c.Totals.Failures += n
	if c.within > 0 && when <= c.now-c.within {
		c.Totals.Outside += n
	}
	switch {
	case !known:
		c.Totals.Nameless += n
		return
	case !addr.IsValid():
		c.Totals.Local += n
		return
	}
	c.Totals.Addressed += n
	cl, prefix := c.find(addr)
	if cl == nil {
		if c.rules.Ignored(addr) {
			return
		}
		cl = &client{prefix: prefix}
		c.clients[prefix.Addr()] = cl
		c.Totals.Clients++
	}
	cl.failed(c, e, n, when)
}

// failed counts n failures of the client.
func (cl *client) failed(c *Counter, e *parse.Event, n int, when int64) {
	cl.pass(c, when)
	name := maphash.Bytes(c.seed, e.User)
	// Two hosts in one log, or a clock that was set back: nearly always last.
	i := len(cl.fails)
	for i > 0 && cl.fails[i-1].time > when {
		i--
	}
	cl.fails = slices.Insert(cl.fails, i, fail{when, name, n, e.Class})
	cl.sum += n
	if e.User != nil {
		cl.named(name, e.User)
	}
	cl.slide(c)
	if b := cl.ban; b != nil {
		b.failures[e.Class] += n
		b.first, b.last = min(b.first, when), max(b.last, when)
	}
	if cl.sum <= c.rules.Tries {
		return
	}
	if cl.ban == nil {
		cl.ban = &ban{first: cl.fails[0].time, last: cl.fails[len(cl.fails)-1].time}
		for _, f := range cl.fails {
			cl.ban.failures[f.class] += f.count
		}
	}
	cl.ban.since = max(cl.ban.since, when)
	cl.fails, cl.sum = nil, 0
}

// success forgives the failures of a user who is now known to be who he says,
// and of no other: a bot that has one good password keeps its guesses at the
// rest. Over the limit nothing is forgiven.
func (c *Counter) success(e *parse.Event, addr netip.Addr, when int64) {
	cl, _ := c.find(addr)
	if cl == nil {
		return
	}
	cl.pass(c, when)
	if cl.ban != nil {
		return
	}
	name := maphash.Bytes(c.seed, e.User)
	cl.fails = slices.DeleteFunc(cl.fails, func(f fail) bool {
		if f.user != name {
			return false
		}
		cl.sum -= f.count
		return true
	})
	cl.forget()
}

// Release forgets what the clients in p did, as p leaves the table: they begin
// anew.
func (c *Counter) Release(p netip.Prefix) {
	wide := c.rules.Prefix6
	if p.Addr().Is4() {
		wide = c.rules.Prefix4
	}
	// All that ban_smtpd itself adds: an address, or what is one client.
	if p.IsSingleIP() || p.Bits() == wide && !c.rules.Overlaps(p) {
		around, _ := p.Addr().Prefix(wide)
		for _, key := range []netip.Addr{p.Addr(), around.Addr()} {
			if cl := c.clients[key]; cl != nil && cl.prefix.Overlaps(p) {
				delete(c.clients, key)
			}
		}
		return
	}
	maps.DeleteFunc(c.clients, func(_ netip.Addr, cl *client) bool { return cl.prefix.Overlaps(p) })
}

// pass ends a ban whose time is over at when.
func (cl *client) pass(c *Counter, when int64) {
	if cl.ban != nil && c.within > 0 && when > cl.ban.since+c.expire {
		cl.ban = nil
		cl.forget()
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
		cl.sum -= cl.fails[n].count
		n++
	}
	if n > 0 {
		cl.fails = cl.fails[n:]
		cl.forget()
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

// forget forgets the users who have no failure in the window, unless there is
// a ban to report.
func (cl *client) forget() {
	if cl.ban != nil {
		return
	}
	users, names := cl.users[:0], cl.names[:0]
	for i, u := range cl.users {
		if !slices.ContainsFunc(cl.fails, func(f fail) bool { return f.user == u }) {
			continue
		}
		users = append(users, u)
		if i < len(cl.names) {
			names = append(names, cl.names[i])
		}
	}
	cl.users, cl.names = users, names
}

// Offenders returns the clients whose ban is in force, in no order. What was
// hinted of sessions without an end is taken to be so. It is to be called once.
func (c *Counter) Offenders() []Offender {
	for _, s := range c.sessions.open() {
		c.settle(&parse.Event{}, &s, true, s.hint)
	}
	var list []Offender
	for _, cl := range c.clients {
		if cl.ban == nil || c.within > 0 && c.now > cl.ban.since+c.expire {
			continue
		}
		list = append(list, Offender{
			Prefix:   cl.prefix,
			Failures: cl.ban.failures,
			Users:    len(cl.users),
			Names:    cl.names,
			First:    time.Unix(cl.ban.first, 0),
			Last:     time.Unix(cl.ban.last, 0),
		})
	}
	return list
}
