package pftable

import (
	"net/netip"
	"slices"
	"time"
)

// Action is what is to be done with an address or prefix.
type Action string

const (
	Expire Action = "expire" // it has been in the table for longer than a ban lasts
	Renew  Action = "renew"  // as Expire, but its ban is in force again: it is added anew
	Delete Action = "delete" // it is ignored, or covers what is ignored
	Add    Action = "add"
	Keep   Action = "keep"
)

// Change is one line of a plan.
type Change struct {
	Action Action
	Prefix netip.Prefix
	Since  time.Time // when it came into the table; zero for Add
}

// Stays says whether the prefix is in the table when the plan is carried out.
func (c Change) Stays() bool { return c.Action != Expire && c.Action != Delete }

// Expired says whether pfctl -T expire removes the entry: it compares whole
// seconds.
func (e Entry) Expired(expire time.Duration, now time.Time) bool {
	return now.Unix()-e.Since.Unix() > int64(expire/time.Second)
}

// Plan says how the table has to change so that it holds what is banned and
// nothing that is ignored. It is sorted as pfctl(8) sorts a table, and what
// leaves the table stands before what comes in.
//
// A prefix that an entry covers is in the table already. A negated entry is an
// exception that the admin made: what it covers is not added.
func Plan(entries []Entry, banned []netip.Prefix, ignored func(netip.Prefix) bool, expire time.Duration, now time.Time) []Change {
	plan := make([]Change, 0, len(entries)+len(banned))
	stay := map[netip.Prefix]Entry{}
	expired := map[netip.Prefix]int{} // index in plan
	for _, e := range entries {
		action := Keep
		switch {
		case e.Expired(expire, now):
			action = Expire
			if !e.Negated {
				expired[e.Prefix] = len(plan)
			}
		case e.Negated:
			stay[e.Prefix] = e
			continue
		case ignored(e.Prefix):
			action = Delete
		default:
			stay[e.Prefix] = e
		}
		plan = append(plan, Change{action, e.Prefix, e.Since})
	}
	for _, p := range banned {
		if _, found := covering(stay, p); found || ignored(p) {
			continue
		}
		if i, old := expired[p]; old {
			plan[i].Action = Renew
		} else {
			plan = append(plan, Change{Action: Add, Prefix: p})
		}
	}
	slices.SortStableFunc(plan, func(a, b Change) int { return Compare(a.Prefix, b.Prefix) })
	return plan
}

// covering returns the entry that pf finds for p: the most exact one around it.
func covering(entries map[netip.Prefix]Entry, p netip.Prefix) (Entry, bool) {
	if len(entries) == 0 {
		return Entry{}, false
	}
	for bits := p.Bits(); bits >= 0; bits-- {
		around, err := p.Addr().Prefix(bits)
		if err != nil {
			break
		}
		if e, ok := entries[around]; ok {
			return e, true
		}
	}
	return Entry{}, false
}

// Compare orders prefixes as pfctl(8) shows a table: IPv4 first, by address,
// and of the same address the longer prefix first.
func Compare(a, b netip.Prefix) int {
	if order := a.Addr().Compare(b.Addr()); order != 0 {
		return order
	}
	return b.Bits() - a.Bits()
}
