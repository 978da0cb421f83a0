// Package pftable is one pf(4) table, changed and read through pfctl(8), and
// the sandbox that lets nothing but pfctl out.
//
// No address ever stands on a command line if pfctl can read it from its
// standard input, there is no shell, and only canonical addresses are passed:
// a word that is none, pfctl would take for an interface or ask DNS for.
package pftable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Table is one pf table, driven by pfctl(8).
type Table struct {
	Pfctl   string        // path of pfctl
	Name    string        // 1 to 31 bytes
	Timeout time.Duration // for each run of pfctl; 0 is a minute
}

// Entry is an address or prefix in the table.
type Entry struct {
	Prefix  netip.Prefix
	Negated bool      // an exception from a wider entry
	Since   time.Time // when it was added, or last zeroed
}

// ErrNoTable is the error of a table that does not exist.
var ErrNoTable = errors.New("table does not exist")

const (
	// batch is how many addresses one pfctl is given. An add is all or
	// nothing, and holds pf's lock; small ones fail small.
	batch = 1000

	// An add stays this part of pf's limit below it. At the limit a pfctl of
	// OpenBSD 7.1 and later sleeps in the kernel for good, with the lock that
	// every other pfctl needs (pf_table.c, pfr_create_kentry); others may add
	// at the same time, and tables in anchors are not seen.
	margin = 1000
)

// Show returns the entries, in pfctl's order.
func (t *Table) Show() ([]Entry, error) {
	out, err := t.table("show", nil, "-v")
	if err != nil {
		return nil, err
	}
	return parseShow(out)
}

// parseShow reads what pfctl -v -T show prints (print_addrx and print_astats
// of pfctl_table.c): a mark, a space, a "!" or a space, the address; then
// indented lines, of which "Cleared:" has the time as ctime(3) writes it. TZ
// is UTC, see command.
func parseShow(out []byte) ([]Entry, error) {
	var list []Entry
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if text, ok := strings.CutPrefix(line, "\tCleared:"); ok && len(list) > 0 {
			since, err := time.Parse(time.ANSIC, strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("pfctl shows an unknown time: %q", line)
			}
			list[len(list)-1].Since = since
			continue
		}
		if strings.HasPrefix(line, "\t") {
			continue // counters
		}
		prefix, ok := parsePrefix(strings.TrimLeft(line, " !"))
		if len(line) < 4 || !ok {
			return nil, fmt.Errorf("pfctl shows an unknown entry: %q", line)
		}
		list = append(list, Entry{Prefix: prefix, Negated: line[2] == '!'})
	}
	return list, nil
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// Expire removes the entries that are older than age, in whole seconds, and
// returns how many.
func (t *Table) Expire(age time.Duration) (int, error) {
	out, err := t.table("expire", nil, strconv.FormatInt(int64(age/time.Second), 10))
	return summary(out), err
}

// Delete removes exactly these entries and returns how many there were.
func (t *Table) Delete(list []netip.Prefix) (int, error) {
	return t.batches("delete", list)
}

// Add adds what is not there yet and returns how many that were. What is there
// keeps its time. A missing table is made.
func (t *Table) Add(list []netip.Prefix) (int, error) {
	return t.batches("add", list)
}

// batches runs a command on a list. After an error the rest is not tried.
func (t *Table) batches(command string, list []netip.Prefix) (sum int, err error) {
	for len(list) > 0 && err == nil {
		n := min(len(list), batch)
		var stdin bytes.Buffer
		for _, p := range list[:n] {
			fmt.Fprintln(&stdin, Text(p))
		}
		var out []byte
		out, err = t.table(command, stdin.Bytes(), "-f", "-")
		sum += summary(out)
		list = list[n:]
	}
	return sum, err
}

// Text writes a prefix as pfctl(8) does: a single address without its length.
func Text(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// summary reads the number of what was done from "2/3 addresses added."
func summary(out []byte) int {
	for line := range strings.Lines(string(out)) {
		if done, rest, ok := strings.Cut(line, "/"); ok && strings.Contains(rest, " addresses ") {
			if n, err := strconv.Atoi(done); err == nil {
				return n
			}
		}
	}
	return 0
}

// Kill cuts the connections that come from p: pfctl -k. This takes its
// argument on the command line only; an address does not begin with "-".
func (t *Table) Kill(p netip.Prefix) error {
	_, _, err := t.run(nil, "-k", Text(p))
	return err
}

// Room returns how many entries fit, with a margin, under pf's limit for all
// tables together.
func (t *Table) Room() (int, error) {
	out, _, err := t.run(nil, "-s", "memory")
	if err != nil {
		return 0, err
	}
	limit, err := parseLimit(out)
	if err != nil {
		return 0, err
	}
	out, _, err = t.run(nil, "-vv", "-s", "Tables")
	if err != nil {
		return 0, err
	}
	return max(0, limit-limit/margin-parseAddresses(out)), nil
}

// parseLimit finds "table-entries hard limit   200000" (pfctl.c,
// pfctl_show_limits).
func parseLimit(out []byte) (int, error) {
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "table-entries" {
			return strconv.Atoi(f[3])
		}
	}
	return 0, errors.New("pfctl -s memory: no limit of table-entries")
}

// parseAddresses adds up "Addresses:" of all tables (pfctl_table.c,
// print_tstats).
func parseAddresses(out []byte) (sum int) {
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "\tAddresses:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(text))
			sum += n
		}
	}
	return sum
}

// Check returns nil if the bans have an effect: pf is enabled and a rule uses
// the table. Otherwise the error says what to do.
func (t *Table) Check() error {
	out, _, err := t.run(nil, "-s", "info")
	if err != nil {
		return err
	}
	if !parseEnabled(out) {
		return errors.New("pf is disabled, nothing is blocked: enable it with pfctl -e")
	}
	out, _, err = t.run(nil, "-v", "-s", "Tables")
	if err != nil {
		return err
	}
	if flags := parseFlags(out, t.Name); !strings.ContainsAny(flags, "rh") {
		return fmt.Errorf("no rule uses table <%s>, nothing is blocked: add \"block in quick on egress from <%s>\" to /etc/pf.conf and load it",
			t.Name, t.Name)
	}
	return nil
}

// parseEnabled finds "Status: Enabled for 0 days 00:00:10   Debug: err"
// (pfctl_parser.c, print_status).
func parseEnabled(out []byte) bool {
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Status:" {
			return f[1] == "Enabled"
		}
	}
	return false
}

// parseFlags returns the flags of a table from "-pa-r-C<TAB>bot"
// (pfctl_table.c, print_table): r is for a rule that refers to it, h for one
// in an anchor.
func parseFlags(out []byte, name string) string {
	for line := range strings.Lines(string(out)) {
		if flags, table, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); table == name {
			return flags
		}
	}
	return ""
}

// table runs a table command. Its result is on standard output for show, and
// on standard error for the others, as a summary.
func (t *Table) table(command string, stdin []byte, args ...string) ([]byte, error) {
	argv := []string{"-t", t.Name, "-T", command}
	if command == "show" {
		argv, args = append(args, argv...), nil
	}
	out, summary, err := t.run(stdin, append(argv, args...)...)
	if command != "show" {
		out = summary
	}
	if err != nil && bytes.Contains(summary, []byte("Table does not exist")) {
		return nil, fmt.Errorf("pfctl -t %s -T %s: %w", t.Name, command, ErrNoTable)
	}
	return out, err
}

// reason returns the first line of what pfctl complained of. When it failed it
// writes pf's limits back and may not, which is none of ours (pfctl.c 1.397).
func reason(stderr []byte) string {
	s := bufio.NewScanner(bytes.NewReader(stderr))
	for s.Scan() {
		line := s.Text()
		if line == "" || strings.HasPrefix(line, "pfctl: DIOCSETLIMIT ") {
			continue
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			return strconv.QuoteToASCII(line)
		}
		return line
	}
	return ""
}
