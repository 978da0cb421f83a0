package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

// state is the kernel: everything that outlives one pfctl.
type state struct {
	Tables      []*table
	Limit       int // of entries, over all tables
	TableLimit  int
	Device      string // ok, denied, missing
	Securelevel int
	Disabled    bool // pf itself
	Killed      []string
	Faults      map[string]fault
}

// fault is what a call of one command does instead of its work.
type fault struct {
	Kind string // fail, hang, signal
	Exit int
	Text string
}

// table is one of the kernel's. A table that is not active is only kept
// because a rule, or a table of the same name in an anchor, refers to it.
type table struct {
	Name, Anchor                       string
	Persist, Const, Active, Ref, Count bool
	Cleared                            int64
	Entries                            map[netip.Prefix]*entry
	NoMatch, Match                     uint64
	Stats                              stats
}

type entry struct {
	Not    bool
	Since  int64
	Weight int
	Hit    bool // matched since it was last cleared
	Stats  stats
}

// stats are packets and bytes of In/Block and In/Pass, the only ones that the
// events of the vectors can raise.
type stats struct{ BlockPackets, BlockBytes, PassPackets, PassBytes uint64 }

func (s *stats) add(block bool, n uint64) {
	if block {
		s.BlockPackets++
		s.BlockBytes += n
	} else {
		s.PassPackets++
		s.PassBytes += n
	}
}

// load reads the state, and locks it until the process ends.
func load(name string) (*state, error) {
	lock, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	// Never closed: the lock goes with the process.
	s := &state{Limit: 200000, TableLimit: 1000, Device: "ok", Faults: map[string]fault{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (s *state) save(name string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// find returns a table, active or not.
func (s *state) find(anchor, name string) *table {
	for _, t := range s.Tables {
		if t.Name == name && t.Anchor == anchor {
			return t
		}
	}
	return nil
}

// active returns a table that exists for pfctl.
func (s *state) active(anchor, name string) *table {
	if t := s.find(anchor, name); t != nil && t.Active {
		return t
	}
	return nil
}

// entries counts those of all tables: the limit is one for all.
func (s *state) entries() (n int) {
	for _, t := range s.Tables {
		n += len(t.Entries)
	}
	return n
}

// match returns the most exact entry around addr.
func (t *table) match(addr netip.Addr) (netip.Prefix, *entry) {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		p, _ := addr.Prefix(bits)
		if e := t.Entries[p]; e != nil {
			return p, e
		}
	}
	return netip.Prefix{}, nil
}

// sorted returns the entries in the order of the kernel's tree: IPv4 first, by
// address, the longest prefix of one address first.
func (t *table) sorted() []netip.Prefix {
	list := make([]netip.Prefix, 0, len(t.Entries))
	for p := range t.Entries {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return b.Bits() - a.Bits()
	})
	return list
}
