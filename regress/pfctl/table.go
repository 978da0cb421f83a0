package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// commands in the order in which an abbreviation is looked up.
var commands = []string{"kill", "flush", "add", "delete", "expire", "replace", "show", "test", "zero"}

// tableCommand is pfctl_table(). It returns the exit status.
func (c *call) tableCommand() int {
	switch c.command {
	case "show", "flush", "kill":
		if len(c.args) > 0 || c.hasFile {
			return c.usage()
		}
	case "expire":
		if len(c.args) != 1 || c.hasFile {
			return c.usage()
		}
	}
	if c.table == "" || c.anchor == "_pf" {
		return c.fail("Anchor does not exist")
	}
	switch c.command {
	case "add", "replace":
		return c.addCommand()
	case "delete":
		return c.deleteCommand()
	case "show":
		return c.showCommand()
	case "expire":
		return c.expireCommand()
	case "zero":
		return c.zeroCommand()
	case "test":
		return c.testCommand()
	case "flush":
		return c.flushCommand()
	}
	return c.killCommand()
}

// fail is what most errors of the kernel come to.
func (c *call) fail(reason string) int {
	fmt.Fprintf(c.stderr, "pfctl: %s\n", reason)
	return 255
}

// writable returns the table if it is there and not const.
func (c *call) writable() (*table, int) {
	t := c.state.active(c.anchor, c.table)
	switch {
	case t == nil:
		return nil, c.fail("Table does not exist")
	case t.Const:
		return nil, c.fail("Operation not permitted")
	}
	return t, 0
}

// say prints a summary, which -q hides.
func (c *call) say(format string, args ...any) {
	if c.quiet {
		return
	}
	end := "."
	if c.dry {
		end = " (dummy)."
	}
	fmt.Fprintf(c.stderr, format+end+"\n", args...)
}

// mark prints what became of an address: with -v if something did, with -vv
// always.
func (c *call) mark(mark byte, not bool, p netip.Prefix) {
	if c.verbose == 0 || mark == ' ' && c.verbose == 1 {
		return
	}
	sign := byte(' ')
	if not {
		sign = '!'
	}
	fmt.Fprintf(c.stdout, "%c %c%s\n", mark, sign, text(p))
}

// stored says whether the kernel can hold p at all: 0.0.0.0 and :: are the
// ends of its radix tree.
func stored(p netip.Prefix) bool { return !(p.IsSingleIP() && p.Addr().IsUnspecified()) }

// create makes the table if it is missing, as add and replace do first.
func (c *call) create() (*table, int) {
	// The kernel allocates for the new table, and once more, before it looks
	// whether there is one.
	if len(c.state.Tables)+2 > c.state.TableLimit {
		return nil, c.fail("Cannot allocate memory")
	}
	t := c.state.find(c.anchor, c.table)
	switch {
	case t != nil && t.Active:
	case c.state.Securelevel >= 2:
		return nil, c.fail("Table does not exist") // the refusal itself is ignored
	case c.anchor != "":
		c.refuse("a new table in an anchor")
	case c.dry:
		c.say("1 table created")
		return nil, 0
	case t != nil:
		t.Active, t.Persist, t.Cleared = true, true, c.now
	default:
		t = &table{Name: c.table, Active: true, Persist: true, Cleared: c.now, Entries: map[netip.Prefix]*entry{}}
		c.state.Tables = append(c.state.Tables, t)
		c.say("1 table created")
	}
	if c.anchor == "" {
		for _, other := range c.state.Tables {
			if other.Name == c.table && other.Anchor != "" && other.Active {
				fmt.Fprintf(c.stderr, "pfctl: warning: table <%s> already defined in anchor \"%s\"\n", c.table, other.Anchor)
			}
		}
	}
	return t, 0
}

func (c *call) addCommand() int {
	list, ok := c.loadAddresses(false)
	if !ok {
		return 255
	}
	if c.noDevice() {
		fmt.Fprintln(c.stderr, "pfctl: pfr_get_tables: Bad file descriptor")
		return 1
	}
	t, status := c.create()
	if t == nil {
		return status
	}
	if t.Const {
		return c.fail("Operation not permitted")
	}
	if c.command == "replace" {
		return c.replace(t, list)
	}
	// An entry is allocated for each token before any is looked up.
	if len(list) > 0 && c.state.entries()+len(list) > c.state.Limit {
		return c.fail("Cannot allocate memory")
	}
	added := map[netip.Prefix]*entry{}
	not := false // of the last line printed: the kernel does not set it back
	for i := len(list) - 1; i >= 0; i-- {
		a := list[i]
		mark := byte('A')
		old := t.Entries[a.prefix]
		switch {
		case added[a.prefix] != nil:
			mark = 'X'
		case old != nil && old.Not != a.not:
			mark = 'Y'
		case old != nil || !stored(a.prefix):
			mark = ' '
		default:
			added[a.prefix] = &entry{Not: a.not, Since: c.now, Weight: a.weight}
		}
		if a.not && (c.verbose > 1 || mark != ' ') {
			not = true
		}
		c.mark(mark, a.not || not, a.prefix)
	}
	if !c.dry {
		for p, e := range added {
			t.Entries[p] = e
		}
	}
	c.say("%d/%d addresses added", len(added), len(list))
	return 0
}

func (c *call) replace(t *table, list []address) int {
	want := map[netip.Prefix]*entry{}
	var added, changed int
	var marks []func()
	for _, a := range list {
		mark := byte(' ')
		old := t.Entries[a.prefix]
		switch {
		case want[a.prefix] != nil:
			mark = 'X'
		case old == nil && stored(a.prefix):
			mark = 'A'
			added++
			want[a.prefix] = &entry{Not: a.not, Since: c.now, Weight: a.weight}
		case old == nil:
		case old.Not != a.not:
			mark = 'C'
			changed++
			want[a.prefix] = &entry{Not: a.not, Since: c.now, Weight: a.weight}
		default:
			want[a.prefix] = old
		}
		marks = append(marks, func() { c.mark(mark, a.not, a.prefix) })
	}
	if c.state.entries()+added > c.state.Limit {
		return c.fail("Cannot allocate memory")
	}
	for _, print := range marks {
		print()
	}
	deleted := 0
	for _, p := range t.sorted() {
		if want[p] == nil {
			deleted++
			c.mark('D', t.Entries[p].Not, p)
		}
	}
	if !c.dry {
		t.Entries = want
	}
	if added > 0 {
		c.say("%d addresses added", added)
	}
	if deleted > 0 {
		c.say("%d addresses deleted", deleted)
	}
	if changed > 0 {
		c.say("%d addresses changed", changed)
	}
	if added+deleted+changed == 0 {
		c.say("no changes")
	}
	return 0
}

func (c *call) deleteCommand() int {
	list, ok := c.loadAddresses(false)
	if !ok {
		return 255
	}
	if c.noDevice() {
		if !c.quiet {
			fmt.Fprintf(c.stderr, "0/%d addresses deleted (syntax only).\n", len(list))
		}
		return 0
	}
	t, status := c.writable()
	if t == nil {
		return status
	}
	gone := map[netip.Prefix]bool{}
	for _, a := range list {
		mark := byte('D')
		switch e := t.Entries[a.prefix]; {
		case e == nil:
			mark = ' '
		case e.Not != a.not:
			mark = 'Y'
		case gone[a.prefix]:
			mark = 'X'
		default:
			gone[a.prefix] = true
		}
		c.mark(mark, a.not, a.prefix)
	}
	c.remove(t, gone)
	c.say("%d/%d addresses deleted", len(gone), len(list))
	return 0
}

func (c *call) remove(t *table, gone map[netip.Prefix]bool) {
	if c.dry {
		return
	}
	for p := range gone {
		delete(t.Entries, p)
	}
}

// ctime prints a time as ctime(3), in the zone of TZ.
func ctime(sec int64) string { return time.Unix(sec, 0).Format(time.ANSIC) }

func (c *call) showCommand() int {
	if c.dry && c.verbose == 0 {
		return c.fail("Anchor does not exist")
	}
	t := c.state.active(c.anchor, c.table)
	if t == nil {
		return c.fail("Table does not exist")
	}
	for _, p := range t.sorted() {
		e := t.Entries[p]
		sign := ' '
		if e.Not {
			sign = '!'
		}
		fmt.Fprintf(c.stdout, "  %c%s\n", sign, text(p))
		if c.verbose == 0 {
			continue
		}
		fmt.Fprintf(c.stdout, "\tCleared:     %s\n", ctime(e.Since))
		if t.Count && e.Hit {
			c.printStats(e.Stats, "")
		}
		if e.Weight > 0 {
			fmt.Fprintf(c.stdout, "\tWeight:             %d\n", e.Weight)
		}
	}
	return 0
}

// printStats prints the counters, of a table also those named by extra.
func (c *call) printStats(s stats, extra string) {
	line := func(name string, packets, bytes uint64) {
		fmt.Fprintf(c.stdout, "\t%-12s [ Packets: %-18d Bytes: %-18d ]\n", name+":", packets, bytes)
	}
	for _, way := range []string{"In", "Out"} {
		if way == "Out" {
			s = stats{}
		}
		line(way+"/Block", s.BlockPackets, s.BlockBytes)
		line(way+"/Match", 0, 0)
		line(way+"/Pass", s.PassPackets, s.PassBytes)
		if extra != "" {
			line(way+"/"+extra, 0, 0)
		}
	}
}

func (c *call) expireCommand() int {
	n, err := strconv.ParseInt(c.args[0], 10, 64)
	switch {
	case err != nil && !strings.Contains(err.Error(), "range"):
		fmt.Fprintln(c.stderr, "pfctl: expiry time: invalid")
		return 1
	case n < 0:
		fmt.Fprintln(c.stderr, "pfctl: expiry time: too small")
		return 1
	case n > 1<<32-1:
		fmt.Fprintln(c.stderr, "pfctl: expiry time: too large")
		return 1
	}
	t, status := c.writable()
	if t == nil {
		return status
	}
	gone := map[netip.Prefix]bool{}
	for _, p := range t.sorted() {
		if e := t.Entries[p]; c.now-e.Since > n {
			gone[p] = true
			c.mark('D', e.Not, p)
		}
	}
	c.remove(t, gone)
	c.say("%d/%d addresses expired", len(gone), len(gone))
	return 0
}

func (c *call) zeroCommand() int {
	if len(c.args) == 0 && !c.hasFile {
		t := c.state.active(c.anchor, c.table)
		n := 0
		if t != nil {
			n = 1
		}
		if t != nil && !c.dry {
			t.Cleared, t.NoMatch, t.Match, t.Stats = c.now, 0, 0, stats{}
			for _, e := range t.Entries {
				e.clear(c.now)
			}
		}
		c.say("%d table/stats cleared", n)
		return 0
	}
	list, ok := c.loadAddresses(false)
	if !ok {
		return 255
	}
	if c.dry {
		return c.fail("Permission denied")
	}
	t := c.state.active(c.anchor, c.table)
	if t == nil {
		return c.fail("Table does not exist")
	}
	seen := map[netip.Prefix]bool{}
	for _, a := range list {
		mark := byte(' ')
		if e := t.Entries[a.prefix]; e != nil {
			if seen[a.prefix] {
				c.refuse("zero of an address twice, which never ends")
			}
			seen[a.prefix] = true
			e.clear(c.now)
			mark = 'Z'
		}
		c.mark(mark, a.not, a.prefix)
	}
	c.say("%d/%d addresses cleared", len(seen), len(list))
	return 0
}

func (e *entry) clear(now int64) { e.Since, e.Hit, e.Stats = now, false, stats{} }

func (c *call) testCommand() int {
	list, ok := c.loadAddresses(true)
	if !ok {
		return 255
	}
	if c.dry {
		return c.fail("Anchor does not exist")
	}
	t := c.state.active(c.anchor, c.table)
	if t == nil {
		return c.fail("Table does not exist")
	}
	matched := 0
	for _, a := range list {
		p, e := t.match(a.prefix.Addr())
		hit := e != nil && !e.Not
		if hit {
			matched++
		}
		if c.verbose == 0 || c.verbose == 1 && !hit {
			continue
		}
		line := "   " + text(a.prefix)
		if hit {
			line = "M  " + text(a.prefix)
		}
		if c.verbose > 1 {
			switch {
			case e == nil:
				line += "\t nomatch"
			case e.Not:
				line += "\t!" + text(p)
			default:
				line += "\t " + text(p)
			}
		}
		fmt.Fprintln(c.stdout, line)
	}
	c.say("%d/%d addresses match", matched, len(list))
	if matched < len(list) {
		return 2
	}
	return 0
}

func (c *call) flushCommand() int {
	t, status := c.writable()
	if t == nil {
		return status
	}
	n := len(t.Entries)
	if !c.dry {
		t.Entries = map[netip.Prefix]*entry{}
	}
	c.say("%d addresses deleted", n)
	return 0
}

func (c *call) killCommand() int {
	if c.state.Securelevel >= 2 {
		return c.fail("Operation not permitted")
	}
	t := c.state.active(c.anchor, c.table)
	if t == nil {
		c.say("0 table deleted")
		return 0
	}
	if !c.dry {
		kept := c.state.Tables[:0]
		for _, other := range c.state.Tables {
			if other != t || t.Ref {
				kept = append(kept, other)
			}
		}
		c.state.Tables = kept
		*t = table{Name: t.Name, Anchor: t.Anchor, Ref: t.Ref, Entries: map[netip.Prefix]*entry{}}
	}
	c.say("1 table deleted")
	return 0
}
