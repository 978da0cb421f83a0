package sim_test

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// model says what has to be in the table. It knows what happened, not what was
// logged of it, and judges all of it anew each time, in the plainest way.
type model struct {
	within, expire int64
	tries          int
	happened       []happening
	table          map[netip.Prefix]int64 // since when
	ignored        map[netip.Addr]bool
	// Whoever was ignored until then may be banned for what he did before.
	lenient map[netip.Prefix]int64
}

type happening struct {
	what byte // f: failure, s: success, r: release
	time int64
	addr netip.Addr
	user string
	of   netip.Prefix // release
}

func (m *model) client(a netip.Addr) netip.Prefix {
	if a.Is6() {
		p, _ := a.Prefix(64)
		if !m.overlaps(p) {
			return p
		}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func (m *model) overlaps(p netip.Prefix) bool {
	for a := range m.ignored {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// due returns the clients whose ban is in force, and when they were over the
// limit.
func (m *model) due(now int64) map[netip.Prefix]int64 {
	clients := map[netip.Prefix]bool{}
	for _, h := range m.happened {
		if h.what == 'f' && !m.ignored[h.addr] {
			clients[m.client(h.addr)] = true
		}
	}
	due := map[netip.Prefix]int64{}
	for p := range clients {
		if t, over := m.judge(p, now); over && now-t <= m.expire {
			due[p] = t
		}
	}
	return due
}

// judge says when a client was over the limit, the last time.
func (m *model) judge(p netip.Prefix, now int64) (over int64, ever bool) {
	var window []happening
	for _, h := range m.happened {
		h.time = min(h.time, now)
		switch {
		case h.what == 'r' && h.of.Overlaps(p):
			window, ever = nil, false
		case h.what == 'r' || !p.Contains(h.addr) || m.ignored[h.addr]:
		case h.what == 's':
			if !ever || h.time-over > m.expire {
				window = slices.DeleteFunc(window, func(w happening) bool { return w.user == h.user })
			}
		case h.what == 'f':
			window = append(window, h)
			slices.SortStableFunc(window, func(a, b happening) int { return int(a.time - b.time) })
			last := window[len(window)-1].time
			window = slices.DeleteFunc(window, func(w happening) bool { return w.time <= last-m.within })
			if len(window) > m.tries {
				if !ever || h.time-over > m.expire {
					over = h.time
				}
				over, ever, window = max(over, h.time), true, nil
			}
		}
	}
	return over, ever
}

// run does to the model's table what a run has to do to the real one.
func (m *model) run(now int64) {
	for p, since := range m.table {
		if now-since > m.expire {
			m.release(p, now)
		}
		if now-since > m.expire || m.overlaps(p) {
			delete(m.table, p)
		}
	}
	for p := range m.due(now) {
		if !m.covered(p) && !m.overlaps(p) {
			m.table[p] = now
		}
	}
	// What is older than any window or ban is of no use.
	m.happened = slices.DeleteFunc(m.happened, func(h happening) bool {
		return h.time < now-3*(m.within+m.expire)-int64(72*time.Hour/time.Second)
	})
}

func (m *model) covered(p netip.Prefix) bool {
	for q := range m.table {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func (m *model) release(p netip.Prefix, now int64) {
	m.happened = append(m.happened, happening{what: 'r', time: now, of: p})
}

func (m *model) pardon(p netip.Prefix, now int64) {
	maps.DeleteFunc(m.table, func(q netip.Prefix, _ int64) bool { return p.Overlaps(q) })
	m.release(p, now)
}
