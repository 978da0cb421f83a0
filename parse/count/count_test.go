package count

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ban_smtpd/parse"
)

var (
	now  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	none = func(netip.Prefix) bool { return false }
)

func rules() Rules {
	return Rules{
		Tries: 3, Within: time.Hour, Expire: 2 * time.Hour, Prefix4: 32, Prefix6: 64, Now: now, Classes: parse.Classes{parse.Auth: true},
		Ignored: func(netip.Addr) bool { return false }, Overlaps: none,
	}
}

// play counts a script: words "MINUTES KIND [USER [ADDRESS [COUNT]]]", where
// MINUTES are before now, and KIND is fail, ok, gone, or what a session needs;
// COUNT is the length of the prefix that is gone.
func play(t *testing.T, r Rules, script string) *Counter {
	t.Helper()
	c := New(r)
	kinds := map[string]parse.Kind{"fail": parse.Failure, "ok": parse.Success, "conn": parse.Connect, "bye": parse.Disconnect, "gone": parse.Release}
	for step := range strings.SplitSeq(script, ",") {
		var minutes, n int
		var kind, user, addr string
		n = 1
		fmt.Sscan(step, &minutes, &kind, &user, &addr, &n)
		if addr == "" {
			addr = "203.0.113.7"
		}
		if kinds[kind] == 0 {
			t.Fatalf("bad step %q", step)
		}
		a := netip.MustParseAddr(addr)
		bits := uint8(a.BitLen())
		if kind == "gone" && n > 1 {
			bits = uint8(n)
		}
		c.Add([]parse.Event{{
			Kind: kinds[kind], Bits: bits, Time: now.Unix() - int64(minutes)*60, User: []byte(user),
			Addr: a, Count: uint32(n), Each: 1,
		}})
	}
	return c
}

func offenders(c *Counter) string {
	var list []string
	for _, p := range c.Banned() {
		o, _ := c.Offender(p)
		list = append(list, fmt.Sprintf("%v %d", p, o.Failures.Sum()))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name, script, want string
		rules              func(*Rules)
	}{
		{"at the limit", "5 fail a,4 fail a,3 fail a", "", nil},
		{"over the limit", "5 fail a,4 fail a,3 fail a,2 fail a", "203.0.113.7/32 4", nil},
		{"folded lines", "5 fail a 203.0.113.7 4", "203.0.113.7/32 4", nil},
		{"left the window before the rest was forgiven", "110 fail b,20 fail a,19 ok a,105 fail b 203.0.113.7 3", "", nil},
		{"just inside the window", "59 fail a,40 fail a,20 fail a,0 fail a", "203.0.113.7/32 4", nil},
		{"just outside the window", "60 fail a,40 fail a,20 fail a,0 fail a", "", nil},
		{"the window slides", "70 fail a,50 fail a,40 fail a,15 fail a", "203.0.113.7/32 4", func(r *Rules) { r.Within = 56 * time.Minute }},
		{"ban in force though the failures left the window", "119 fail a,119 fail a,118 fail a,118 fail a", "203.0.113.7/32 4", nil},
		{"ban in force to the second", "120 fail a 203.0.113.7 4", "203.0.113.7/32 4", nil},
		{"ban over", "121 fail a 203.0.113.7 4", "", nil},
		{"not again for the same failures", "50 fail a 203.0.113.7 4,1 fail a", "", func(r *Rules) { r.Expire = 10 * time.Minute }},
		{"again for new ones", "50 fail a 203.0.113.7 4,1 fail a 203.0.113.7 4", "203.0.113.7/32 4", func(r *Rules) { r.Expire = 10 * time.Minute }},
		{"failures while banned are spent", "50 fail a 203.0.113.7 4,45 fail a 203.0.113.7 9,1 fail a", "", func(r *Rules) { r.Expire = 10 * time.Minute }},
		{"over the limit again", "130 fail a 203.0.113.7 4,100 fail a 203.0.113.7 4", "203.0.113.7/32 8", nil},
		{"not over the limit again", "130 fail a 203.0.113.7 4,100 fail a 203.0.113.7 3", "", nil},
		{"released", "50 fail a 203.0.113.7 9,40 gone", "", nil},
		{"released, and again", "50 fail a 203.0.113.7 9,40 gone,30 fail a 203.0.113.7 4", "203.0.113.7/32 4", nil},
		{"released, and again some", "50 fail a 203.0.113.7 9,40 gone,30 fail a 203.0.113.7 3", "", nil},
		{"another released", "50 fail a 203.0.113.7 9,40 gone x 203.0.113.8", "203.0.113.7/32 9", nil},
		{"a network released", "50 fail a 203.0.113.7 9,40 gone x 203.0.113.8 24", "", nil},
		{"a /64 released", "50 fail a 2001:db8::1 9,40 gone x 2001:db8::7 64", "", nil},
		{"a /64 released by an address", "50 fail a 2001:db8::1 9,40 gone x 2001:db8::7", "", nil},
		{"another /64 released", "50 fail a 2001:db8::1 9,40 gone x 2001:db8:0:1::1", "2001:db8::/64 9", nil},
		{"a split /64 released", "50 fail a 2001:db8::2 9,40 gone x 2001:db8:: 64", "", func(r *Rules) {
			r.Overlaps = func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr("2001:db8::1")) }
		}},
		{"no window", "9999 fail a 203.0.113.7 2,1 fail a 203.0.113.7 2", "203.0.113.7/32 4", func(r *Rules) { r.Within = 0 }},
		{"no window, no end", "9999 fail a 203.0.113.7 4", "203.0.113.7/32 4", func(r *Rules) { r.Within = 0 }},
		{"success forgives", "5 fail a 203.0.113.7 3,4 ok a,3 fail a 203.0.113.7 3", "", nil},
		{"success of another does not", "5 fail a 203.0.113.7 3,4 ok b,3 fail a", "203.0.113.7/32 4", nil},
		{"success elsewhere does not", "5 fail a 203.0.113.7 3,4 ok a 192.0.2.1,3 fail a", "203.0.113.7/32 4", nil},
		{"success over the limit does not", "5 fail a 203.0.113.7 4,4 ok a", "203.0.113.7/32 4", nil},
		{"success forgives that user only", "5 fail a 203.0.113.7 2,5 fail b,4 ok a,3 fail b 203.0.113.7 3", "203.0.113.7/32 4", nil},
		{"success does not forgive what follows", "5 ok a,4 fail a 203.0.113.7 4", "203.0.113.7/32 4", nil},
		{"a /64 is one client", "5 fail a 2001:db8::1,4 fail a 2001:db8::2,3 fail a 2001:db8::3,2 fail a 2001:db8::4", "2001:db8::/64 4", nil},
		{"two /64 are two", "5 fail a 2001:db8::1 2,4 fail a 2001:db8:0:1::1 2", "", nil},
		{"a /64 with an ignored address", "5 fail a 2001:db8::1 4,4 fail a 2001:db8::2 4,3 fail a 2001:db8::3 2", "2001:db8::2/128 4",
			func(r *Rules) {
				r.Ignored = func(a netip.Addr) bool { return a == netip.MustParseAddr("2001:db8::1") }
				r.Overlaps = func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr("2001:db8::1")) }
			}},
		{"a clock set back", "10 fail a,15 fail a,12 fail a,11 fail a", "203.0.113.7/32 4", nil},
		{"a clock set back for long", "0 fail a,90 fail a,0 fail a,0 fail a", "", nil},
		{"a clock ahead", "-60 fail a 203.0.113.7 4", "203.0.113.7/32 4", nil},
		{"a clock ahead counts as now", "-1200 fail a 203.0.113.7 3,0 fail a", "203.0.113.7/32 4", nil},
		{"a clock far ahead", "-1441 fail a 203.0.113.7 4", "", nil},
		{"after --at", "-1 fail a 203.0.113.7 4", "", func(r *Rules) { r.Ended = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rules()
			if tt.rules != nil {
				tt.rules(&r)
			}
			if got := offenders(play(t, r, tt.script)); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.script, got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	c := play(t, rules(), "80 fail old,9 fail a,8 fail b,7 ok a,6 fail c,5 fail d,4 fail e,3 fail b")
	got := c.Banned()
	if len(got) != 1 {
		t.Fatalf("got %v, want one offender", got)
	}
	o, _ := c.Offender(got[0])
	if o.Failures.Sum() != 5 || o.Users != 4 || !slices.Equal(o.Names, []string{"b", "c", "d"}) {
		t.Errorf("got %d failures of %d users %q, want 5 of 4 [b c d]", o.Failures.Sum(), o.Users, o.Names)
	}
	if first, last := now.Add(-8*time.Minute), now.Add(-3*time.Minute); !o.First.Equal(first) || !o.Last.Equal(last) {
		t.Errorf("got %v to %v, want %v to %v", o.First, o.Last, first, last)
	}
}

// A million sessions that never end keep no more memory than some, and the
// ones forgotten are those that were silent.
func TestSessionsBounded(t *testing.T) {
	c := New(rules())
	event := func(kind parse.Kind, id uint64) {
		e := &parse.Event{Kind: kind, Time: now.Unix(), Session: id, Count: 1, Each: 1}
		if kind == parse.Connect {
			e.Addr = netip.MustParseAddr("203.0.113.7")
		}
		c.Add([]parse.Event{*e})
	}
	event(parse.Connect, 1)
	for id := uint64(2); id < 1_000_000; id++ {
		event(parse.Connect, id)
		if id%1000 == 0 {
			event(parse.Hint, 1)
		}
		if c.sessions.n > 2*maxSessions {
			t.Fatalf("%d sessions remembered, want at most %d", c.sessions.n, 2*maxSessions)
		}
	}
	for _, id := range []uint64{1, 2, 999_999} {
		event(parse.Failure, id)
	}
	if want := (Totals{Failures: 3, Clients: 1, Nameless: 1, Addressed: 2}); c.Totals != want {
		t.Errorf("got %+v, want %+v", c.Totals, want)
	}
}

// However many addresses fail, some are remembered: those that failed last, and
// those over the limit.
func TestClientsBounded(t *testing.T) {
	const limit = 1000
	c := New(rules())
	c.clients.limit = limit
	event := func(kind parse.Kind, n uint32, addr uint32, user string) {
		a := netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)})
		c.Add([]parse.Event{{Kind: kind, Time: now.Unix(), Addr: a, Count: n, Each: 1, User: []byte(user)}})
	}
	event(parse.Failure, 4, 1, "a") // over the limit
	event(parse.Failure, 1, 2, "a") // one short of being so, in the end
	for addr := uint32(100); addr < 100*limit; addr++ {
		event(parse.Failure, 1, addr, "a")
		event(parse.Success, 1, 2, "b")
		if c.clients.n > 2*limit+2 {
			t.Fatalf("%d clients remembered, want at most %d", c.clients.n, 2*limit+2)
		}
	}
	for _, addr := range []uint32{2, 100, 100*limit - 1} { // the second is forgotten
		event(parse.Failure, 3, addr, "a")
	}
	if got, want := offenders(c), "0.0.0.1/32 4, 0.0.0.2/32 4, 0.1.134.159/32 4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What belonged to the others was given back.
	if n := int(c.blocks.used) - len(c.blocks.idle); n > c.clients.n {
		t.Errorf("%d blocks of failures of %d clients", n, c.clients.n)
	}
}

// A client that fails for ever, and never too often, takes no more memory for it.
func TestWindowBounded(t *testing.T) {
	r := rules()
	r.Tries = 1 << 20
	c := New(r)
	for n := range 10_000 {
		c.Add([]parse.Event{{Kind: parse.Failure, Time: now.Unix() - 10_000*60 + int64(n)*60,
			Addr: netip.MustParseAddr("203.0.113.7"), Count: 1, Each: 1}})
	}
	if n := int(c.blocks.used) - len(c.blocks.idle); n > 21 {
		t.Errorf("%d blocks of failures, 60 of which are in the window", n)
	}
}

// It makes no difference how many events are added at once, even if clients are
// forgotten and fail again meanwhile.
func TestAtOnce(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		r := rules()
		r.Tries = 5
		var events []parse.Event
		for range 300 {
			events = append(events, parse.Event{Kind: parse.Failure, Time: now.Unix() - 3600 + int64(len(events)), Count: 1, Each: 1,
				Addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(rng.ExpFloat64() * 8)})})
		}
		count := func(step int) string {
			c := New(r)
			c.clients.limit = 5
			for piece := range slices.Chunk(events, step) {
				c.Add(piece)
			}
			return fmt.Sprint(offenders(c), " of ", c.clients.n, c.Totals)
		}
		if got, want := count(40), count(1); got != want {
			t.Errorf("seed %d: got %s; one by one %s", seed, got, want)
		}
	}
}

func TestSessions(t *testing.T) {
	c := New(rules())
	addr := netip.MustParseAddr("203.0.113.7")
	event := func(kind parse.Kind, id uint64, addr netip.Addr) {
		c.Add([]parse.Event{{Kind: kind, Time: now.Unix(), Session: id, Addr: addr, Count: 1, Each: 1}})
	}
	event(parse.Connect, 1, addr)
	event(parse.Connect, 1, netip.MustParseAddr("8.8.8.8")) // the first one stands
	event(parse.Failure, 1, netip.Addr{})
	event(parse.Failure, 3, netip.Addr{})
	event(parse.Connect, 2, netip.Addr{}) // local
	event(parse.Failure, 2, netip.Addr{})
	event(parse.Disconnect, 1, netip.Addr{})
	event(parse.Failure, 1, netip.Addr{}) // the session is over
	want := Totals{Failures: 4, Clients: 1, Local: 1, Nameless: 2, Addressed: 1}
	if c.Totals != want {
		t.Errorf("got %+v, want %+v", c.Totals, want)
	}
	if cl := c.clients.get(keyOf(addr)); cl == nil || cl.sum != 1 {
		t.Errorf("got %+v, want one failure of %v", cl, addr)
	}
}

// Lines that tell of one attempt are one failure, of one class.
func TestJoin(t *testing.T) {
	const fail, least, hint, ok, bye = parse.Failure, parse.AtLeast, parse.Hint, parse.Success, parse.Disconnect
	addr, other := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	counted := parse.Event{Class: parse.Abort} // of a Disconnect: how many failures there were
	tests := []struct {
		name   string
		events []parse.Event
		want   Failures
	}{
		{"told before", []parse.Event{{Kind: least}, {Kind: fail}, {Kind: fail}}, Failures{2}},
		{"told after", []parse.Event{{Kind: fail}, {Kind: least}}, Failures{1}},
		{"told only so", []parse.Event{{Kind: least}, {Kind: least}}, Failures{1}},
		{"all told", []parse.Event{{Kind: fail}, {Kind: fail}, {Kind: bye, Class: counted.Class, Each: 2}}, Failures{2}},
		{"some not told", []parse.Event{{Kind: fail}, {Kind: bye, Class: counted.Class, Each: 3}}, Failures{1, 2}},
		{"none told", []parse.Event{{Kind: bye, Class: counted.Class, Each: 3}}, Failures{0, 3}},
		{"several in a line", []parse.Event{{Kind: fail, Each: 3}, {Kind: bye, Class: counted.Class, Each: 4}}, Failures{3, 1}},
		{"the server's own", []parse.Event{{Kind: fail, Class: parse.Scan + 1}, {Kind: bye, Class: counted.Class, Each: 1}}, Failures{}},
		{"hung up", []parse.Event{{Kind: hint, Class: parse.Abort}, {Kind: bye}}, Failures{0, 1}},
		{"hung up, and no end", []parse.Event{{Kind: hint, Class: parse.Abort}}, Failures{0, 1}},
		{"hung up after a failure", []parse.Event{{Kind: fail}, {Kind: hint, Class: parse.Abort}, {Kind: bye}}, Failures{1}},
		{"hung up after a success", []parse.Event{{Kind: hint, Class: parse.Abort}, {Kind: bye, Class: counted.Class, Each: 0}}, Failures{}},
		{"a scan", []parse.Event{{Kind: hint, Class: parse.Scan}, {Kind: hint, Class: parse.Scan}, {Kind: bye}}, Failures{0, 0, 0, 1}},
		{"no scan, it has failed", []parse.Event{{Kind: fail}, {Kind: hint, Class: parse.Scan}, {Kind: bye}}, Failures{1}},
		{"no scan, it has logged in", []parse.Event{{Kind: ok}, {Kind: hint, Class: parse.Scan}, {Kind: bye}}, Failures{}},
		{"no scan, it has spoken", []parse.Event{{Kind: hint, Class: parse.Scan}, {Kind: bye, Spoke: true}}, Failures{}},
		{"a process has another client", []parse.Event{{Kind: fail}, {Kind: bye, Addr: other, Class: counted.Class, Each: 1}}, Failures{1, 1}},
		{"an end is the end", []parse.Event{{Kind: least}, {Kind: bye}, {Kind: least}}, Failures{2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rules()
			r.Tries, r.Prefix4 = 0, 24
			r.Classes = parse.Classes{true, true, true, true}
			c := New(r)
			for i, e := range tt.events {
				e.Time, e.Session, e.Count = now.Unix()+int64(i)-60, 1, 1
				if e.Each == 0 && e.Class != counted.Class {
					e.Each = 1
				}
				if !e.Addr.IsValid() {
					e.Addr = addr
				}
				c.Add([]parse.Event{e})
			}
			var got Failures
			for _, p := range c.Banned() {
				o, _ := c.Offender(p)
				got = o.Failures
			}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A login by keyboard-interactive has one line or two: one of PAM, and sshd's own.
func TestForetold(t *testing.T) {
	const told, echo, failed, least = parse.Foretold, parse.Echo, parse.Failure, parse.AtLeast
	for _, tt := range []struct {
		kinds []parse.Kind
		want  int
	}{
		{[]parse.Kind{told, echo, told, echo}, 2},
		{[]parse.Kind{told, told, told, echo, least}, 3},
		{[]parse.Kind{told, told, failed}, 3}, // by password
		{[]parse.Kind{least, told, echo, told, echo, least}, 2},
		{[]parse.Kind{told, echo, echo}, 2}, // PAM's line has a name, not an address
		{[]parse.Kind{least, failed, told, echo}, 2},
		{[]parse.Kind{least, echo, echo, least}, 2},
	} {
		c := New(rules())
		for _, kind := range tt.kinds {
			c.Add([]parse.Event{{Kind: kind, Time: now.Unix(), Session: 1, Addr: netip.MustParseAddr("203.0.113.7"), Count: 1, Each: 1}})
		}
		if got := c.Totals.Failures; got != tt.want {
			t.Errorf("%v: got %d failures, want %d", tt.kinds, got, tt.want)
		}
	}
}
