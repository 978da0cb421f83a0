// Pfctl is a stand-in for OpenBSD's pfctl(8), for tests where there is no pf.
// It answers the table commands exactly as pfctl_table.c 1.91 and pf_table.c
// 1.148 do; recorded vectors are its specification. What it does not know it
// refuses, with exit status 3; it never guesses.
//
// Environment:
//
//	PFCTL_STATE  the file that is the kernel
//	PFCTL_NOW    the time in seconds since 1970; without it, now
//	PFCTL_LOG    a file to which each call is appended, and below it, after a
//	             tab, each line of its standard input
//
// Instead of arguments it takes "--event EVENT ARGUMENT ...": those of the
// vectors, and
//
//	pf on|off               enable or disable pf
//	fail COMMAND EXIT TEXT  from now on COMMAND only prints TEXT and exits
//	hang COMMAND            ... never ends, and no SIGTERM ends it
//	signal COMMAND          ... kills itself
//	heal                    no more of these
//
// where COMMAND is a table command, or kill for -k, or info, memory or tables.
package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// call is one call of pfctl.
type call struct {
	state          *state
	now            int64
	stdin          io.Reader
	stdout, stderr io.Writer

	table, anchor, command string
	isTable, hasFile       bool
	file                   string
	show                   string
	kill                   []string
	verbose                int
	quiet, dry, all        bool
	args                   []string
}

const usageText = `usage: pfctl [-deghNnPqrvz] [-a anchor] [-D macro=value] [-F modifier] [-f file]
	[-i interface] [-K key] [-k key] [-L statefile] [-o level]
	[-p device] [-S statefile] [-s modifier [-R id]]
	[-t table -T command [address ...]] [-V rdomain] [-x level]
`

func main() {
	file := os.Getenv("PFCTL_STATE")
	if file == "" {
		fatal("PFCTL_STATE is not set")
	}
	c := &call{now: time.Now().Unix(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if text := os.Getenv("PFCTL_NOW"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			fatal("PFCTL_NOW: " + err.Error())
		}
		c.now = n
	}
	var err error
	if c.state, err = load(file); err != nil {
		fatal(err.Error())
	}
	status := 0
	if len(os.Args) > 2 && os.Args[1] == "--event" {
		c.event(os.Args[2:])
	} else {
		appendLog(logLine(os.Args[1:]))
		status = c.run(os.Args[1:])
	}
	if err := c.state.save(file); err != nil {
		fatal(err.Error())
	}
	os.Exit(status)
}

func fatal(reason string) {
	fmt.Fprintln(os.Stderr, "stand-in pfctl: "+reason)
	os.Exit(3)
}

// refuse is for what was not recorded.
func (c *call) refuse(what string) { fatal("not known: " + what) }

func (c *call) usage() int {
	io.WriteString(c.stderr, usageText)
	return 1
}

func (c *call) noDevice() bool { return c.state.Device != "ok" }

// getopt parses as getopt(3): options end at the first word that is none.
func (c *call) getopt(args []string) (status int, ok bool) {
	const known, withArgument, unknown = "dehgNnPqrvz", "aDFfiKkLopSsRtTVx", "deNPrzDFiKLopSRVx"
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0][1:]
		args = args[1:]
		if word == "-" {
			break
		}
		for word != "" {
			o := word[:1]
			word = word[1:]
			value := ""
			switch {
			case strings.Contains(withArgument, o) && word != "":
				value, word = word, ""
			case strings.Contains(withArgument, o):
				if len(args) == 0 {
					fmt.Fprintf(c.stderr, "pfctl: option requires an argument -- %s\n", o)
					return c.usage(), false
				}
				value, args = args[0], args[1:]
			case !strings.Contains(known, o):
				fmt.Fprintf(c.stderr, "pfctl: unknown option -- %s\n", o)
				return c.usage(), false
			}
			switch o {
			case "a":
				c.anchor = value
			case "f":
				c.file, c.hasFile = value, true
			case "g":
				c.all = true
			case "h":
				return c.usage(), false
			case "k":
				c.kill = append(c.kill, value)
			case "n":
				c.dry = true
			case "N": // no look-ups, and there are none here
			case "q":
				c.quiet = true
			case "s":
				if status, ok := c.showModifier(value); !ok {
					return status, false
				}
			case "t":
				c.table, c.isTable = value, true
			case "T":
				if status, ok := c.tableModifier(value); !ok {
					return status, false
				}
			case "v":
				c.verbose++
			default:
				if strings.Contains(unknown, o) {
					c.refuse("-" + o)
				}
			}
		}
	}
	c.args = args
	return 0, true
}

func (c *call) tableModifier(value string) (int, bool) {
	for _, name := range commands {
		if value != "" && strings.HasPrefix(name, value) {
			c.command = name
			return 0, true
		}
	}
	fmt.Fprintf(c.stderr, "pfctl: Unknown table command '%s'\n", value)
	return c.usage(), false
}

func (c *call) showModifier(value string) (int, bool) {
	for _, name := range []string{"queue", "rules", "Anchors", "Sources", "states", "info", "Interfaces",
		"labels", "timeouts", "memory", "Tables", "osfp", "all"} {
		if value != "" && strings.HasPrefix(name, value) {
			c.show = name
			return 0, true
		}
	}
	fmt.Fprintf(c.stderr, "pfctl: Unknown show modifier '%s'\n", value)
	return c.usage(), false
}

// run is main() of pfctl.c.
func (c *call) run(args []string) int {
	if len(args) == 0 {
		return c.usage()
	}
	if status, ok := c.getopt(args); !ok {
		return status
	}
	switch {
	case c.isTable != (c.command != ""), len(c.table) >= 32:
		return c.usage()
	case c.command == "" && len(c.args) > 0:
		fmt.Fprintf(c.stderr, "pfctl: unknown command line argument: %s ...\n", c.args[0])
		return c.usage()
	}
	c.fault()
	if c.noDevice() && !c.dry {
		reason := map[string]string{"denied": "Permission denied", "missing": "No such file or directory"}[c.state.Device]
		fmt.Fprintf(c.stderr, "pfctl: /dev/pf: %s\n", reason)
		return 1
	}
	if c.noDevice() && c.command != "add" && c.command != "replace" && c.command != "delete" {
		c.refuse("-n without a device")
	}
	switch {
	case c.command != "":
		return c.tableCommand()
	case len(c.kill) == 1 && c.show == "":
		return c.killStates()
	case c.show != "":
		return c.showAll()
	}
	c.refuse("a call that does nothing")
	return 0
}

// killStates is pfctl -k of a host or network: all states that come from it.
// There are none here; that it was asked for is kept.
func (c *call) killStates() int {
	if _, err := netip.ParsePrefix(c.kill[0]); err != nil {
		if _, err := netip.ParseAddr(c.kill[0]); err != nil {
			c.refuse("-k of what is no address")
		}
	}
	c.state.Killed = append(c.state.Killed, c.kill[0])
	if !c.quiet {
		fmt.Fprintln(c.stderr, "killed 0 states from 1 sources and 0 destinations")
	}
	return 0
}

func (c *call) showAll() int {
	if c.dry {
		return 0
	}
	switch c.show {
	case "info":
		// Only the line of print_status() in pfctl_parser.c that says whether
		// pf is enabled.
		status := "Enabled"
		if c.state.Disabled {
			status = "Disabled"
		}
		fmt.Fprintf(c.stdout, "%-38s%26s\n\n", "Status: "+status+" for 0 days 00:00:10", "Debug: err")
	case "memory":
		for _, l := range []struct {
			name  string
			value int
		}{{"states", 100000}, {"src-nodes", 10000}, {"frags", 16384}, {"tables", c.state.TableLimit},
			{"table-entries", c.state.Limit}, {"pktdelay-pkts", 10000}, {"anchors", 512}} {
			fmt.Fprintf(c.stdout, "%-13s hard limit %8d\n", l.name, l.value)
		}
	case "Tables":
		c.showTables()
	default:
		c.refuse("-s " + c.show)
	}
	return 0
}

func (c *call) showTables() {
	tables := slices.DeleteFunc(slices.Clone(c.state.Tables), func(t *table) bool {
		return t.Anchor != c.anchor || !t.Active && !c.all
	})
	slices.SortFunc(tables, func(a, b *table) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range tables {
		name := t.Name
		if t.Anchor != "" {
			name += "@" + t.Anchor
		}
		if c.verbose == 0 {
			fmt.Fprintln(c.stdout, name)
			continue
		}
		flag := func(b bool, letter string) string {
			if b {
				return letter
			}
			return "-"
		}
		fmt.Fprintf(c.stdout, "%s%s%s-%s-%s\t%s\n", flag(t.Const, "c"), flag(t.Persist, "p"), flag(t.Active, "a"),
			flag(t.Ref, "r"), flag(t.Count, "C"), name)
		if c.verbose == 1 {
			continue
		}
		rules := 0
		if t.Ref {
			rules = 1
		}
		fmt.Fprintf(c.stdout, "\tAddresses:   %d\n\tCleared:     %s\n", len(t.Entries), ctime(t.Cleared))
		fmt.Fprintf(c.stdout, "\tReferences:  [ Anchors: %-18d Rules: %-18d ]\n", 0, rules)
		fmt.Fprintf(c.stdout, "\tEvaluations: [ NoMatch: %-18d Match: %-18d ]\n", t.NoMatch, t.Match)
		c.printStats(t.Stats, "XPass")
	}
}

// fault does what an event made this command do.
func (c *call) fault() {
	command := c.command
	switch {
	case command == "kill":
		return // the table command; kill names -k
	case len(c.kill) > 0:
		command = "kill"
	case c.show != "":
		command = strings.ToLower(c.show)
	}
	switch f := c.state.Faults[command]; f.Kind {
	case "fail":
		fmt.Fprintln(c.stderr, f.Text)
		os.Exit(f.Exit)
	case "hang":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		for {
			time.Sleep(time.Hour)
		}
	case "signal":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// event is something that pf, a ruleset or the machine does.
func (c *call) event(args []string) {
	s := c.state
	need := func(n int) {
		if len(args) < n {
			c.refuse("event " + strings.Join(args, " "))
		}
	}
	switch args[0] {
	case "mktable":
		need(2)
		t := &table{Name: args[1], Active: true, Persist: true, Cleared: c.now, Entries: map[netip.Prefix]*entry{}}
		for _, flag := range args[2:] {
			switch anchor, anchored := strings.CutPrefix(flag, "anchor="); {
			case anchored:
				t.Anchor = anchor
			case flag == "counters":
				t.Count = true
			case flag == "const":
				t.Const = true
			case flag == "ref":
				t.Ref = true
			case flag == "nopersist":
				t.Persist = false
			default:
				c.refuse("flag " + flag)
			}
		}
		s.Tables = append(s.Tables, t)
		if t.Anchor != "" && s.find("", t.Name) == nil { // its root
			s.Tables = append(s.Tables, &table{Name: t.Name, Entries: map[netip.Prefix]*entry{}})
		}
	case "limit":
		need(2)
		s.Limit = c.number(args[1])
	case "limit-tables":
		need(2)
		s.TableLimit = c.number(args[1])
	case "hit":
		need(5)
		if t := s.active("", args[1]); t != nil {
			t.hit(c.address(args[2]), args[3] == "block", uint64(c.number(args[4])))
		}
	case "overload":
		need(3)
		p := netip.PrefixFrom(c.address(args[2]), c.address(args[2]).BitLen())
		if t := s.active("", args[1]); t != nil && t.Entries[p] == nil && s.entries() < s.Limit {
			t.Entries[p] = &entry{Since: c.now}
		}
	case "device":
		need(2)
		s.Device = args[1]
	case "securelevel":
		need(2)
		s.Securelevel = c.number(args[1])
	case "noise":
	case "reset":
		*s = state{Limit: 200000, TableLimit: 1000, Device: "ok", Faults: map[string]fault{}}
	case "pf":
		need(2)
		s.Disabled = args[1] == "off"
	case "fail":
		need(4)
		s.Faults[args[1]] = fault{Kind: "fail", Exit: c.number(args[2]), Text: args[3]}
	case "hang", "signal":
		need(2)
		s.Faults[args[1]] = fault{Kind: args[0]}
	case "heal":
		s.Faults, s.Device = map[string]fault{}, "ok"
	default:
		c.refuse("event " + args[0])
	}
}

func (c *call) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		c.refuse("number " + s)
	}
	return n
}

func (c *call) address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		c.refuse("address " + s)
	}
	return a
}

// hit is a packet that a rule compares with the table.
func (t *table) hit(addr netip.Addr, block bool, bytes uint64) {
	_, e := t.match(addr)
	if e == nil || e.Not {
		t.NoMatch++
		return
	}
	t.Match++
	t.Stats.add(block, bytes)
	if t.Count {
		e.Hit = true
		e.Stats.add(block, bytes)
	}
}

func logLine(args []string) string {
	var words []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"") {
			a = strconv.Quote(a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ") + "\n"
}

// logStdin appends what a list on standard input held.
func (c *call) logStdin(text string) {
	for line := range strings.Lines(text) {
		appendLog("\t" + strings.TrimSuffix(line, "\n") + "\n")
	}
}

func appendLog(text string) {
	name := os.Getenv("PFCTL_LOG")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fatal(err.Error())
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		fatal(err.Error())
	}
}
