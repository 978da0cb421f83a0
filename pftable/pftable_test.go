package pftable

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// script makes a pfctl of sh, which records its arguments and its input.
func script(t *testing.T, body string) (table *Table, record string) {
	t.Helper()
	dir := t.TempDir()
	record = filepath.Join(dir, "record")
	name := filepath.Join(dir, "pfctl")
	text := "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done >>" + record + "\necho \" $TZ\" >>" + record + "\n" + body
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Table{Pfctl: name, Name: "bot"}, record
}

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		if !strings.Contains(s, "/") {
			a := netip.MustParseAddr(s)
			p = append(p, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// What pfctl is told, to the byte.
func TestCalls(t *testing.T) {
	list := prefixes("203.0.113.7", "2001:db8:bad::/64", "198.51.100.0/24", "2001:db8::1")
	const lines = "203.0.113.7\n2001:db8:bad::/64\n198.51.100.0/24\n2001:db8::1\n"
	tests := []struct {
		name, body, want string
		call             func(*Table) (int, error)
		n                int
	}{
		{"add", "cat >>%s; echo 3/4 addresses added. >&2", "[-t][bot][-T][add][-f][-] UTC\n" + lines,
			func(t *Table) (int, error) { return t.Add(list) }, 3},
		{"delete", "cat >>%s; echo 4/4 addresses deleted. >&2", "[-t][bot][-T][delete][-f][-] UTC\n" + lines,
			func(t *Table) (int, error) { return t.Delete(list) }, 4},
		{"expire", "cat >>%s; echo 2/2 addresses expired. >&2", "[-t][bot][-T][expire][432000] UTC\n",
			func(t *Table) (int, error) { return t.Expire(5 * 24 * time.Hour) }, 2},
		{"show", "cat >>%s; echo '   192.0.2.1'", "[-v][-t][bot][-T][show] UTC\n",
			func(t *Table) (int, error) { l, err := t.Show(); return len(l), err }, 1},
		{"kill", "cat >>%s", "[-k][203.0.113.7] UTC\n",
			func(t *Table) (int, error) { return 0, t.Kill(list[0]) }, 0},
		{"kill a prefix", "cat >>%s", "[-k][2001:db8:bad::/64] UTC\n",
			func(t *Table) (int, error) { return 0, t.Kill(list[1]) }, 0},
		{"nothing to add", "cat >>%s", "", func(t *Table) (int, error) { return t.Add(nil) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TZ", "Europe/Berlin")
			table, record := script(t, "")
			text, err := os.ReadFile(table.Pfctl)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(table.Pfctl, append(text, fmt.Sprintf(tt.body, record)...), 0o700); err != nil {
				t.Fatal(err)
			}
			n, err := tt.call(table)
			got, _ := os.ReadFile(record)
			if err != nil || n != tt.n || string(got) != tt.want {
				t.Errorf("got %d, %v, pfctl was told %q; want %d, %q", n, err, got, tt.n, tt.want)
			}
		})
	}
}

func TestBatches(t *testing.T) {
	var list []netip.Prefix
	for i := range 2*batch + 1 {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
	}
	table, record := script(t, "n=$(wc -l); echo $n/$n addresses added. >&2")
	n, err := table.Add(list)
	calls, _ := os.ReadFile(record)
	if err != nil || n != len(list) || strings.Count(string(calls), "\n") != 3 {
		t.Errorf("got %d, %v in calls\n%swant %d in 3 calls", n, err, calls, len(list))
	}
	// The second one fails: the third is not tried.
	table, record = script(t, "n=$(wc -l); [ -e $0.once ] && { echo pfctl: no >&2; exit 255; }; : >$0.once; echo $n/$n addresses added. >&2")
	n, err = table.Add(list)
	calls, _ = os.ReadFile(record)
	if err == nil || n != batch || strings.Count(string(calls), "\n") != 2 {
		t.Errorf("got %d, %v in calls\n%swant %d, an error, 2 calls", n, err, calls, batch)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"a reason", "echo 'pfctl: /dev/pf: Permission denied' >&2; exit 1", "pfctl -t bot -T show: exit status 1: pfctl: /dev/pf: Permission denied"},
		{"no reason", "exit 3", "pfctl -t bot -T show: exit status 3"},
		{"noise before the reason", "echo 'pfctl: DIOCSETLIMIT (states): Permission denied' >&2; echo 'pfctl: no' >&2; exit 1", "pfctl -t bot -T show: exit status 1: pfctl: no"},
		{"an escape sequence", "printf 'pfctl: \\033[2J\\n' >&2; exit 1", `pfctl -t bot -T show: exit status 1: "pfctl: \x1b[2J"`},
		{"a signal", "kill -9 $$", "pfctl -t bot -T show: signal: killed"},
		{"no such table", "echo 'pfctl: Table does not exist' >&2; exit 255", "pfctl -t bot -T show: table does not exist"},
		{"no such table, FreeBSD, with noise", "echo 'pfctl: Table does not exist.' >&2; echo 'pfctl: DIOCSETLIMIT (states): Permission denied' >&2; exit 255", "pfctl -t bot -T show: table does not exist"},
		{"an unknown entry", "echo '   <bot>'", `pfctl shows an unknown entry: "   <bot>"`},
		{"an unknown time", "printf '   192.0.2.1\\n\\tCleared:     yesterday\\n'", `pfctl shows an unknown time: "\tCleared:     yesterday"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, _ := script(t, tt.body)
			_, err := table.Show()
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if got, want := errors.Is(err, ErrNoTable), strings.Contains(tt.name, "no such table"); got != want {
				t.Errorf("ErrNoTable: got %v, want %v", got, want)
			}
		})
	}
	table := &Table{Pfctl: "/nonexistent/pfctl", Name: "bot"}
	if _, err := table.Show(); err == nil || err.Error() != "pfctl -t bot -T show: /nonexistent/pfctl: no such file or directory" {
		t.Errorf("missing pfctl: got %v", err)
	}
}

// A pfctl that hangs is left, also when it holds on to its output.
func TestHang(t *testing.T) {
	table, _ := script(t, "trap '' TERM INT; while :; do sleep 1; done")
	table.Timeout = 100 * time.Millisecond
	_, err := table.Add(prefixes("192.0.2.1"))
	if want := "pfctl -t bot -T add: no answer in 100ms"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseShow(t *testing.T) {
	const out = "   9.255.255.255\n\tCleared:     Fri Nov 21 00:00:00 2025\n" +
		"  !10.0.0.0/8\n\tCleared:     Sat Dec  6 00:00:05 2025\n" +
		"   192.0.2.1\n\tCleared:     Fri Nov 21 00:00:00 2025\n" +
		"\tIn/Block:    [ Packets: 2                  Bytes: 100                ]\n" +
		"\tIn/Pass:     [ Packets: 0                  Bytes: 0                  ]\n" +
		"   ::192.0.2.1\n\tCleared:     Fri Nov 21 00:00:00 2025\n" +
		"   ::ffff:0.0.0.0/96\n\tCleared:     Fri Nov 21 00:00:00 2025\n" +
		"   2001:db8::/32\n\tCleared:     Fri Nov 21 00:00:00 2025\n\tWeight:             5\n"
	got, err := parseShow([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2025, 11, 21, 0, 0, 0, 0, time.UTC)
	p := prefixes("9.255.255.255", "10.0.0.0/8", "192.0.2.1", "::c000:201", "::ffff:0.0.0.0/96", "2001:db8::/32")
	want := []Entry{{p[0], false, since}, {p[1], true, time.Date(2025, 12, 6, 0, 0, 5, 0, time.UTC)},
		{p[2], false, since}, {p[3], false, since}, {p[4], false, since}, {p[5], false, since}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestPlan(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const expire = 5 * 24 * time.Hour
	entry := func(s string, since time.Time) Entry {
		p := strings.TrimPrefix(s, "!")
		return Entry{prefixes(p)[0], p != s, since}
	}
	ignored := func(p netip.Prefix) bool { return p.Overlaps(netip.MustParsePrefix("192.0.2.0/28")) }
	tests := []struct {
		name    string
		entries []Entry
		banned  []string
		want    string
	}{
		{"nothing", nil, nil, ""},
		{"new", nil, []string{"203.0.113.7", "2001:db8::/64"}, "add 203.0.113.7, add 2001:db8::/64"},
		{"known", []Entry{entry("203.0.113.7", now)}, []string{"203.0.113.7"}, "keep 203.0.113.7"},
		{"known, not banned by the log", []Entry{entry("203.0.113.7", now)}, nil, "keep 203.0.113.7"},
		{"covered", []Entry{entry("203.0.113.0/24", now)}, []string{"203.0.113.7"}, "keep 203.0.113.0/24"},
		{"wider than what is there", []Entry{entry("2001:db8::1", now)}, []string{"2001:db8::/64"}, "add 2001:db8::/64, keep 2001:db8::1"},
		{"excepted", []Entry{entry("203.0.113.0/24", now), entry("!203.0.113.7", now)}, []string{"203.0.113.7"}, "keep 203.0.113.0/24"},
		{"as old as a ban lasts", []Entry{entry("203.0.113.7", ago(expire))}, nil, "keep 203.0.113.7"},
		{"a second older", []Entry{entry("203.0.113.7", ago(expire+time.Second))}, nil, "expire 203.0.113.7"},
		{"old, but banned anew", []Entry{entry("203.0.113.7", ago(expire+time.Second))}, []string{"203.0.113.7"}, "renew 203.0.113.7"},
		{"covered by what expires", []Entry{entry("203.0.113.0/24", ago(2*expire))}, []string{"203.0.113.7"}, "expire 203.0.113.0/24, add 203.0.113.7"},
		{"an exception expires as all do", []Entry{entry("!203.0.113.7", ago(2*expire))}, nil, "expire 203.0.113.7"},
		{"a clock set back", []Entry{entry("203.0.113.7", now.Add(time.Hour))}, nil, "keep 203.0.113.7"},
		{"ignored", []Entry{entry("192.0.2.1", now)}, nil, "delete 192.0.2.1"},
		{"around what is ignored", []Entry{entry("192.0.0.0/16", now)}, nil, "delete 192.0.0.0/16"},
		{"an exception that is ignored", []Entry{entry("!192.0.2.1", now)}, nil, ""},
		{"ignored is never added", nil, []string{"192.0.2.1", "192.0.2.0/24"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Plan(tt.entries, prefixes(tt.banned...), ignored, expire, now) {
				got = append(got, string(c.Action)+" "+Text(c.Prefix))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

// standIn builds the pfctl of regress, with a state of its own.
func standIn(t *testing.T) *Table {
	t.Helper()
	dir := t.TempDir()
	table := &Table{Pfctl: filepath.Join(dir, "pfctl"), Name: "bot"}
	if out, err := exec.Command("go", "build", "-o", table.Pfctl, "../regress/pfctl").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv("PFCTL_STATE", filepath.Join(dir, "state"))
	return table
}

func event(t *testing.T, table *Table, args ...string) {
	t.Helper()
	if out, err := exec.Command(table.Pfctl, append([]string{"--event"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("event %v: %v\n%s", args, err, out)
	}
}

func TestStandIn(t *testing.T) {
	table := standIn(t)
	if _, err := table.Show(); !errors.Is(err, ErrNoTable) {
		t.Errorf("show of a missing table: got %v, want ErrNoTable", err)
	}
	if err := table.Check(); err == nil || !strings.Contains(err.Error(), "no rule uses table <bot>") {
		t.Errorf("check of a missing table: got %v", err)
	}
	event(t, table, "mktable", "bot", "counters", "ref")
	if err := table.Check(); err != nil {
		t.Errorf("check: got %v, want nil", err)
	}
	event(t, table, "pf", "off")
	if err := table.Check(); err == nil || !strings.Contains(err.Error(), "pf is disabled") {
		t.Errorf("check of a disabled pf: got %v", err)
	}
	list := prefixes("192.0.2.1", "198.51.100.0/24", "2001:db8::/64", "::c000:201")
	t.Setenv("PFCTL_NOW", "1763683200")
	if n, err := table.Add(list); n != 4 || err != nil {
		t.Errorf("add: got %d, %v; want 4", n, err)
	}
	if n, err := table.Add(list[:2]); n != 0 || err != nil {
		t.Errorf("add again: got %d, %v; want 0", n, err)
	}
	got, err := table.Show()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got {
		if want := time.Unix(1763683200, 0); !slices.Contains(list, e.Prefix) || !e.Since.Equal(want) {
			t.Errorf("entry %d: got %v, want one of %v since %v", i, e, list, want)
		}
	}
	if room, err := table.Room(); room != 200000-200-4 || err != nil {
		t.Errorf("room: got %d, %v; want %d", room, err, 200000-200-4)
	}
	for limit, want := range map[string]int{"3": 0, "4": 0, "10": 6} {
		event(t, table, "limit", limit)
		if room, err := table.Room(); room != want || err != nil {
			t.Errorf("room with a limit of %s: got %d, %v; want %d", limit, room, err, want)
		}
	}
	if n, err := table.Delete(list[:1]); n != 1 || err != nil {
		t.Errorf("delete: got %d, %v; want 1", n, err)
	}
	t.Setenv("PFCTL_NOW", "1763683260")
	if n, err := table.Expire(time.Minute); n != 0 || err != nil {
		t.Errorf("expire: got %d, %v; want 0", n, err)
	}
	t.Setenv("PFCTL_NOW", "1763683261")
	if n, err := table.Expire(time.Minute); n != 3 || err != nil {
		t.Errorf("expire a second later: got %d, %v; want 3", n, err)
	}
	if got, err := table.Show(); len(got) != 0 || err != nil {
		t.Errorf("show: got %v, %v; want nothing", got, err)
	}
}
