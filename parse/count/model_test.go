package count

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ban_smtpd/parse"
)

// model is the rules in the plainest way: all that a client did, in a list.
type model struct {
	rules  Rules
	fails  []modelFail // in the window, in order of time
	since  int64       // of the ban, 0 if there is none
	report Failures
	first  int64
	last   int64
	users  []string
}

type modelFail struct {
	time  int64
	user  string
	n     uint32
	class parse.Class
}

func (m *model) pass(when int64) {
	if m.since != 0 && m.rules.Within > 0 && when > m.since+int64(m.rules.Expire/time.Second) {
		m.since, m.report, m.users = 0, Failures{}, nil
	}
}

func (m *model) sum() (n uint32) {
	for _, f := range m.fails {
		n += f.n
	}
	return n
}

func (m *model) fail(f modelFail) {
	m.pass(f.time)
	i := len(m.fails)
	for i > 0 && m.fails[i-1].time > f.time {
		i--
	}
	m.fails = slices.Insert(m.fails, i, f)
	if m.rules.Within > 0 {
		begin := m.fails[len(m.fails)-1].time - int64(m.rules.Within/time.Second)
		m.fails = slices.DeleteFunc(m.fails, func(f modelFail) bool { return f.time <= begin })
	}
	reported := []modelFail{f}
	if m.since == 0 {
		if m.sum() <= uint32(m.rules.Tries) {
			return
		}
		reported = m.fails
	}
	for _, f := range reported {
		if m.report == (Failures{}) {
			m.first, m.last = f.time, f.time
		}
		m.first, m.last = min(m.first, f.time), max(m.last, f.time)
		m.report[f.class] += f.n
		if !slices.Contains(m.users, f.user) && len(m.users) < maxUsers {
			m.users = append(m.users, f.user)
		}
	}
	if m.sum() > uint32(m.rules.Tries) {
		m.since = max(m.since, f.time)
		m.fails = nil
	}
}

func (m *model) success(user string, when int64) {
	if m.pass(when); m.since == 0 {
		m.fails = slices.DeleteFunc(m.fails, func(f modelFail) bool { return f.user == user })
	}
}

// Whatever comes, in whatever order, the counter and the model agree.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		r := rules()
		r.Tries = []int{0, 3, 10, 40}[rng.IntN(4)]
		r.Within = []time.Duration{0, time.Minute, 10 * time.Minute, time.Hour}[rng.IntN(4)]
		r.Expire = []time.Duration{time.Minute, 30 * time.Minute, 2 * time.Hour}[rng.IntN(3)]
		r.Classes = parse.Classes{true, true, true, true}
		c := New(r)
		models := make([]*model, 4)
		for i := range models {
			models[i] = &model{rules: r}
		}
		when := now.Unix() - 4*3600
		var events []parse.Event
		for when < now.Unix() {
			when += rng.Int64N(60)
			i := rng.IntN(len(models))
			e := parse.Event{Kind: parse.Failure, Class: parse.Class(rng.IntN(4)), Time: min(when, now.Unix()), Count: 1, Each: 1,
				Addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), User: []byte{'a' + byte(rng.IntN(5))}}
			switch rng.IntN(12) {
			case 0: // a clock that was set back
				e.Time -= rng.Int64N(900)
			case 1: // folded, or several in a line
				e.Count, e.Each = 1+rng.Uint32N(5), 1+rng.Uint32N(4)
			}
			m := models[i]
			switch rng.IntN(30) {
			case 0:
				e.Kind = parse.Release
				e.Bits = 32
				*m = model{rules: r}
			case 1, 2:
				e.Kind = parse.Success
				m.success(string(e.User), e.Time)
			default:
				m.fail(modelFail{e.Time, string(e.User), e.Count * e.Each, e.Class})
			}
			if events = append(events, e); rng.IntN(20) == 0 {
				c.Add(events)
				events = nil
			}
		}
		c.Add(events)
		banned := c.Banned()
		for i, m := range models {
			m.pass(now.Unix())
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 32)
			o, _ := c.Offender(p)
			if got, want := slices.Contains(banned, p), m.since != 0; got != want || o.Failures != m.report || o.Users != len(m.users) {
				t.Errorf("seed %d, %v: got %v, %v of %d users; want %v, %v of %d", seed, p, got, o.Failures, o.Users, want, m.report, len(m.users))
			}
			if m.since != 0 && (o.First.Unix() != m.first || o.Last.Unix() != m.last) {
				t.Errorf("seed %d, %v: got %d to %d, want %d to %d", seed, p, o.First.Unix(), o.Last.Unix(), m.first, m.last)
			}
			cl := c.clients.get(keyOf(p.Addr()))
			if cl == nil || m.since != 0 && r.Within == 0 {
				continue // for ever
			}
			if r.Within > 0 && cl.n > 0 {
				c.slide(cl, int64(cl.latest())-c.within)
			}
			if cl.sum != m.sum() {
				t.Errorf("seed %d, %v: %d in the window, want %d", seed, p, cl.sum, m.sum())
			}
		}
	}
}
