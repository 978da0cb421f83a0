package regress

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ban_smtpd/parse"
	"ban_smtpd/parse/count"
	"ban_smtpd/parse/logfile"
)

// countLog counts what a log says, as main does with -w 0 -T 0.
func countLog(t *testing.T, text string) (map[netip.Prefix]int, count.Totals) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "maillog")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c := count.New(count.Rules{
		Expire: time.Hour, Prefix4: 32, Prefix6: 64, Now: now, Classes: parse.Classes{parse.Auth: true},
		Ignored:  func(netip.Addr) bool { return false },
		Overlaps: func(netip.Prefix) bool { return false },
	})
	parser := func(*logfile.File) *parse.Parser { return parse.NewParser(time.UTC, now, parse.Classes{}) }
	var total logfile.Totals
	logs := logfile.Open([]string{name}, nil, time.Time{}, parser, func(err error) { t.Fatal(err) })
	defer logs.Close()
	for events := range logs.Events(&total) {
		c.Add(events)
	}
	failures := map[netip.Prefix]int{}
	for _, p := range c.Banned() {
		o, _ := c.Offender(p)
		failures[p] = o.Failures.Sum()
	}
	return failures, c.Totals
}

// encode is what smtpd(8) and syslogd(8) do to a user name that matters here.
var encode = strings.NewReplacer("\\", `\\`, " ", `\040`, "\t", `\011`, "\n", `\012`)

// An attacker fails as often as it likes, under any name, with any commands in
// between, while a neighbour works. The neighbour is not charged, nobody else
// is, and no failure is lost.
func FuzzLog(f *testing.F) {
	f.Add("bob", `8.8.8.8" smtp connected address=8.8.8.8 host=x`, uint8(3), false)
	f.Add("x result=ok", "x smtp authentication user=x result=permfail", uint8(12), true)
	names, _ := filepath.Glob("*.in")
	if len(names) == 0 {
		f.Fatal("no samples")
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if _, msg, ok := strings.Cut(line, ": "); ok {
				f.Add(msg, line, uint8(2), true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, user, command string, n uint8, tls bool) {
		if len(user) > 4<<10 || len(command) > 8<<10 {
			return
		}
		const evil, good = "3c41a8f5b2d901f3", "3c41a8f5b2d901f4"
		command = strings.ReplaceAll(command, "\n", " ")
		var log strings.Builder
		second := 0
		write := func(id, format string, args ...any) {
			second++
			fmt.Fprintf(&log, "Nov 20 10:%02d:%02d mail smtpd[1]: %s smtp %s\n", second/60%60, second%60, id, fmt.Sprintf(format, args...))
		}
		write(good, "connected address=192.0.2.50 host=home.example.org")
		write(evil, "connected address=[2001:db8:bad::1] host=<unknown>")
		for range n {
			if tls {
				write(evil, "tls ciphers=TLSv1.3:TLS_AES_256_GCM_SHA384:256")
			}
			write(evil, "authentication user=%s result=permfail", encode.Replace(user))
			write(evil, `failed-command command="%s" result="500 %s"`, command, command)
			write(good, "authentication user=alice result=ok")
		}
		write(evil, "disconnected reason=quit")
		failures, total := countLog(t, log.String())
		bot := netip.MustParsePrefix("2001:db8:bad::/64")
		if failures[bot] != int(n) || total.Failures != int(n) || len(failures) > 1 || len(failures) == 0 && n > 0 {
			t.Errorf("got %v, %+v, want %d failures of %v\n%s", failures, total, n, bot, log.String())
		}
	})
}
