// Package count joins the events of a log into sessions, counts the failed
// logins of each client, and judges who is over the limit. It knows nothing of
// daemons, and is told the time.
package count

import (
	"encoding/binary"
	"math"
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
	Failures Failures
	Users    int      // different names that were tried, at most maxUsers are told apart
	Names    []string // the first three of them, as logged
	First    time.Time
	Last     time.Time
}

// Failures are how many there are of each class.
type Failures [len(parse.ClassNames)]uint32

// Sum returns how many there are of all.
func (f Failures) Sum() int {
	sum := 0
	for _, n := range f {
		sum += int(n)
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
	maxUsers = 24  // names told apart for a client
	maxNames = 3   // names shown
	maxName  = 255 // bytes kept of one; smtpd(8) logs no more
)

// Memory has bounds, whatever a botnet does. A client that failed takes 72 to 80
// bytes, 28 more for each three failures after the first three in its window, and
// 128 more when it is over the limit.
const (
	// maxClients is how many are remembered at least, and twice that at most.
	// After that those that have not failed for longest are forgotten, unless
	// they are over the limit and there are less than maxClients of these.
	maxClients = 450_000

	// maxSessions is the same for open sessions. smtpd(8) has one for each
	// connection, so a busy server has some hundreds. A log whose sessions never
	// end, as of a daemon that was killed again and again, must not take all
	// memory.
	maxSessions = 7000

	maxKnown = 2 << 20 // bytes of the different names that are kept to be shown
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
	mask4    uint64 // of the lower half of an address
	mask6    key
	sessions *table[session]
	clients  *table[client] // by the first address of the prefix
	blocks   slab[block]
	bans     slab[ban]
	banned   int
	names    names
	acts     []act  // that are not settled yet
	list     []fail // memory for window
	seen     uint32 // of no meaning; so that a look is not left out
}

// client is what is known of one client. A failure counts towards one ban
// only: the one that crosses the limit empties the window, and the count
// begins anew while the ban is in force. With its key it is one cache line.
type client struct {
	fails       [3]fail // the latest in the window, in order of time
	n           uint8   // of them
	begin       uint8   // of the failures in the first block
	bits        uint8   // length of the prefix
	first, last uint32  // of blocks, with the failures before; 0: none
	sum         uint32  // of all these; some may have left the window
	ban         uint32  // of bans; 0 if there is none, or it is over
}

// block has failures of one client.
type block struct {
	fails [3]fail
	next  uint32 // 0: none
}

// ban is what is reported of a client over the limit. It is two cache lines, and
// mostly the first will do. Times are in seconds since 1970.
type ban struct {
	since       uint32 // when the limit was crossed, the last time
	first, last uint32
	known       uint32 // of users
	failures    Failures
	users       [maxUsers]uint32 // the names, in the order in which they came
}

// New returns a counter.
func New(r Rules) *Counter {
	c := &Counter{
		rules:    r,
		now:      r.Now.Unix(),
		within:   int64(r.Within / time.Second),
		expire:   int64(r.Expire / time.Second),
		mask4:    ^uint64(0) << (32 - r.Prefix4),
		mask6:    key{^uint64(0) << max(0, 64-r.Prefix6), ^uint64(0) << min(64, 128-r.Prefix6)},
		sessions: newTable(maxSessions, func(*session) bool { return true }),
		blocks:   newSlab[block](),
		bans:     newSlab[ban](),
		names:    newNames(),
	}
	c.clients = newTable(maxClients, func(cl *client) bool {
		if cl.ban != 0 && c.banned < maxClients {
			return false
		}
		c.forget(cl)
		return true
	})
	return c
}

// Add counts events.
func (c *Counter) Add(events []parse.Event) {
	for i := range events {
		c.event(&events[i])
	}
	c.settleActs()
}

func (c *Counter) event(e *parse.Event) {
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
		if s, added := c.sessions.add(key{hi: e.Session}); added { // the first stands
			s.known = true
			if e.Addr.IsValid() {
				s.addr = keyOf(e.Addr)
			}
		}
	case parse.Release:
		c.settleActs()
		c.Release(netip.PrefixFrom(e.Addr, int(e.Bits)))
	case parse.Anonymous:
		c.Totals.Anonymous += int(e.Count)
	case parse.Disconnect:
		if !c.rules.Classes[parse.Abort] && !c.rules.Classes[parse.Scan] {
			c.sessions.remove(key{hi: e.Session}) // it makes no difference how
			return
		}
		c.session(e, when)
	default:
		c.session(e, when)
	}
}

// act is what a client did: it failed, or a user of it logged in.
type act struct {
	addr   key // of the client
	hash   uint64
	number uint32 // its entry's, most likely
	time   uint32
	n      uint32 // failures; 0: a success
	user   uint32
	class  parse.Class
}

// act remembers what a client did, to be settled with the others. It is filled in
// in its place: to copy what was just written costs more than all of this.
func (c *Counter) act(addr key, when int64, n, user uint32, class parse.Class) {
	c.acts = append(c.acts, act{})
	a := &c.acts[len(c.acts)-1]
	k, _ := c.clientKey(addr)
	a.addr, a.hash = addr, c.clients.hash(k)
	a.time, a.n, a.user, a.class = seconds(when), n, user, class
}

// settleActs judges what clients did.
//
// What is known of twenty thousand of them does not fit a cache through which a log
// runs, and to wait for memory is most of what counting takes. But what a short loop
// asks for, the processor fetches dozens of at once. So before anything is done, all
// that will be needed is looked at: where the clients are, then they themselves,
// then their bans, and the windows of those that may be banned. That takes a third
// off what an event costs with 20,000 clients, and a half with a million
// (BenchmarkAdd).
func (c *Counter) settleActs() {
	seen := uint32(0)
	for i := range c.acts {
		seen += c.clients.index[c.acts[i].hash>>c.clients.shift]
	}
	for i := range c.acts {
		a := &c.acts[i]
		a.number = c.clients.guess(a.hash)
		seen += c.clients.entries.at(a.number).era
	}
	for i := range c.acts {
		cl := &c.clients.entries.at(c.acts[i].number).val
		seen += c.bans.at(cl.ban).since
		if int(cl.sum) >= c.rules.Tries {
			seen += c.blocks.at(cl.first).next + c.blocks.at(cl.last).next
		}
	}
	c.seen = seen
	for i := range c.acts {
		if a := &c.acts[i]; a.n == 0 {
			c.success(a)
		} else {
			c.failed(a)
		}
	}
	c.acts = c.acts[:0]
}

// session counts an event of a session.
func (c *Counter) session(e *parse.Event, when int64) {
	var unknown session
	s := c.sessionOf(e, &unknown)
	n := uint32(min(uint64(e.Each)*uint64(e.Count), math.MaxInt32))
	switch e.Kind {
	case parse.Failure, parse.Foretold, parse.Echo:
		if e.Kind == parse.Echo && s.echo {
			n -= min(n, 1)
		}
		s.echo = e.Kind == parse.Foretold
		// What was counted before its line came is not counted again.
		early := min(s.owed, n)
		s.owed -= early
		n -= early
		s.told += n
		s.spoke = true
		c.failure(e.Class, e.User, s, n, when)
	case parse.AtLeast:
		n = e.Each - min(e.Each, s.told)
		s.told += n
		s.owed += n
		s.spoke = true
		c.failure(e.Class, e.User, s, n, when)
	case parse.Hint:
		s.hinted(e.Class, when)
	case parse.Success:
		s.spoke = true
		if s.known && s.addr != (key{}) {
			c.act(s.addr, when, 0, c.names.number(e.User), 0)
		}
	case parse.Disconnect:
		c.settle(e, s, when)
		if e.Session != 0 {
			c.sessions.remove(key{hi: e.Session})
		}
	}
}

// settle counts what a session came to that no line of its own told of, now that
// it is over. Its last line has the number of failures, where it has the class.
func (c *Counter) settle(e *parse.Event, s *session, when int64) {
	var n uint32
	switch {
	case e.Class == parse.Abort:
		n = e.Each - min(e.Each, s.told)
	case s.abort && s.told == 0: // the daemon does not count
		n = 1
	}
	c.failure(parse.Abort, nil, s, n, when)
	if (s.scan || e.Class == parse.Scan) && !s.spoke && !e.Spoke {
		c.failure(parse.Scan, nil, s, 1, when)
	}
}

// failure counts n failures of a session.
func (c *Counter) failure(class parse.Class, user []byte, s *session, n uint32, when int64) {
	if n == 0 || int(class) >= len(c.rules.Classes) || !c.rules.Classes[class] {
		return
	}
	c.Totals.Failures += int(n)
	if c.within > 0 && when <= c.now-c.within {
		c.Totals.Outside += int(n)
	}
	switch {
	case !s.known:
		c.Totals.Nameless += int(n)
		return
	case s.addr == (key{}):
		c.Totals.Local += int(n)
		return
	}
	c.Totals.Addressed += int(n)
	c.act(s.addr, when, n, c.names.number(user), class)
}

// clientKey returns the first address of the prefix that addr is counted as, and
// its length.
func (c *Counter) clientKey(addr key) (k key, bits uint8) {
	if addr.is4() {
		return key{0, addr.lo & c.mask4}, uint8(c.rules.Prefix4)
	}
	return key{addr.hi & c.mask6.hi, addr.lo & c.mask6.lo}, uint8(c.rules.Prefix6)
}

// find returns the client that an address is counted as, nil if it is not known
// yet, and its prefix. The first address of that is of no other client: either all
// of a prefix is one client, or each address in it is. A prefix that is known
// was found to hold nothing ignored, and is not asked about again.
func (c *Counter) find(a *act) (cl *client, k key, bits uint8) {
	k, bits = c.clientKey(a.addr)
	if cl := c.clients.getGuess(a.number, k); cl != nil && cl.bits == bits {
		return cl, k, bits
	}
	if p := k.prefix(bits); !p.IsSingleIP() && c.rules.Overlaps(p) {
		k, bits = a.addr, uint8(p.Addr().BitLen())
	}
	return c.clients.get(k), k, bits
}

// failed counts failures of a client.
func (c *Counter) failed(a *act) {
	cl, k, bits := c.find(a)
	if cl == nil {
		if c.rules.Ignored(a.addr.addr()) {
			return
		}
		cl, _ = c.clients.add(k)
		cl.bits = bits
		c.Totals.Clients++
	}
	c.pass(cl, int64(a.time))
	if cl.ban != 0 {
		c.bans.at(cl.ban).add(a.time, a.user, a.class, a.n)
		if c.within == 0 {
			return // it never ends, so nothing can extend it
		}
	}
	if c.within > 0 && cl.n > 0 {
		latest := cl.latest()
		if int64(a.time) <= int64(latest)-c.within {
			return // the window has gone on
		}
		// What has left it does no harm until it matters, or takes memory.
		if int(cl.n) == len(cl.fails) || int64(cl.sum)+int64(a.n) > int64(c.rules.Tries) {
			c.slide(cl, int64(max(a.time, latest))-c.within)
		}
	}
	if int64(cl.sum)+int64(a.n) <= int64(c.rules.Tries) {
		c.put(cl, a)
		return
	}
	if cl.ban == 0 {
		var b *ban
		cl.ban, b = c.bans.new()
		c.banned++
		for _, f := range c.window(cl) {
			b.add(f.time, f.user(), f.class(), f.n())
		}
		b.add(a.time, a.user, a.class, a.n)
	}
	b := c.bans.at(cl.ban)
	b.since = max(b.since, a.time)
	c.empty(cl)
}

// success forgives the failures of a user who is now known to be who he says,
// and of no other: a bot that has one good password keeps its guesses at the
// rest. Over the limit nothing is forgiven.
func (c *Counter) success(a *act) {
	cl, _, _ := c.find(a)
	if cl == nil {
		return
	}
	if c.pass(cl, int64(a.time)); cl.ban != 0 || cl.n == 0 {
		return
	}
	if c.within > 0 {
		c.slide(cl, int64(cl.latest())-c.within)
	}
	list := c.window(cl)
	left := slices.DeleteFunc(list, func(f fail) bool { return f.user() == a.user })
	if len(left) < len(list) {
		c.empty(cl)
		c.refill(cl, left)
	}
}

// pass ends a ban whose time is over at when.
func (c *Counter) pass(cl *client, when int64) {
	if cl.ban != 0 && !c.inForce(cl, when) {
		c.unban(cl)
	}
}

func (c *Counter) inForce(cl *client, when int64) bool {
	return c.within == 0 || when <= int64(c.bans.at(cl.ban).since)+c.expire
}

func (c *Counter) unban(cl *client) {
	c.bans.free(cl.ban)
	c.banned--
	cl.ban = 0
}

// Release forgets what the clients in p did, as p leaves the table: they begin
// anew.
func (c *Counter) Release(p netip.Prefix) {
	wide := c.rules.Prefix6
	if p.Addr().Is4() {
		wide = c.rules.Prefix4
	}
	var keys []key
	if p.IsSingleIP() || p.Bits() == wide && !c.rules.Overlaps(p) {
		// All that ban_smtpd itself adds: an address, or what is one client.
		around, _ := p.Addr().Prefix(wide)
		for _, k := range []key{keyOf(p.Addr()), keyOf(around.Addr())} {
			if cl := c.clients.get(k); cl != nil && k.prefix(cl.bits).Overlaps(p) && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	} else {
		for k, cl := range c.clients.all {
			if k.prefix(cl.bits).Overlaps(p) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		c.forget(c.clients.get(k))
		c.clients.remove(k)
	}
}

// forget gives back what belongs to a client.
func (c *Counter) forget(cl *client) {
	c.empty(cl)
	if cl.ban != 0 {
		c.unban(cl)
	}
}

// Banned returns the clients whose ban is in force, in no order. What was hinted
// of sessions without an end is taken to be so. It is to be called once, in the
// end.
func (c *Counter) Banned() []netip.Prefix {
	for _, s := range c.unended() {
		c.settle(&parse.Event{}, &s, int64(s.hint))
	}
	c.settleActs()
	list := make([]netip.Prefix, 0, c.banned)
	for k, cl := range c.clients.all {
		if cl.ban != 0 && c.inForce(cl, c.now) {
			list = append(list, k.prefix(cl.bits))
		}
	}
	return list
}

// Offender returns what is known of one of them.
func (c *Counter) Offender(p netip.Prefix) (o Offender, ok bool) {
	cl := c.clients.get(keyOf(p.Addr()))
	if cl == nil || cl.ban == 0 || int(cl.bits) != p.Bits() || !c.inForce(cl, c.now) {
		return o, false
	}
	b := c.bans.at(cl.ban)
	return Offender{
		Failures: b.failures,
		Users:    int(b.known),
		Names:    c.names.texts(b.users[:min(b.known, maxNames)]),
		First:    time.Unix(int64(b.first), 0),
		Last:     time.Unix(int64(b.last), 0),
	}, true
}

// add adds failures to the report.
func (b *ban) add(when, user uint32, class parse.Class, n uint32) {
	if b.last == 0 {
		b.first = when
	}
	b.first, b.last = min(b.first, when), max(b.last, when)
	b.failures[class] += n
	if user != 0 && b.known < maxUsers && !slices.Contains(b.users[:b.known], user) {
		b.users[b.known] = user
		b.known++
	}
}

// seconds is a time as it is kept.
func seconds(when int64) uint32 { return uint32(min(max(when, 0), math.MaxUint32)) }

// keyOf returns an address as 16 bytes.
func keyOf(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) is4() bool { return k.hi == 0 && k.lo>>32 == 0xffff }

func (k key) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.AddrFrom16(b).Unmap()
}

func (k key) prefix(bits uint8) netip.Prefix { return netip.PrefixFrom(k.addr(), int(bits)) }
