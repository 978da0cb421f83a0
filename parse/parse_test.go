package parse

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var written = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func parseText(text string) *Chunk {
	c := &Chunk{}
	NewParser(time.UTC, written, Classes{true, true, true, true}).Parse([]byte(text), c)
	return c
}

func (e Event) String() string {
	kind := [...]string{"none", "connect", "failure", "atleast", "foretold", "echo", "hint", "success", "disconnect", "release", "anonymous", "repeat"}[e.Kind]
	addr := ""
	if e.Addr.IsValid() {
		addr = e.Addr.String()
	}
	if e.Class == nothing {
		kind += " nothing"
	} else if e.Class != Auth {
		kind += " " + ClassNames[e.Class]
	}
	if e.Session != 0 {
		e.Session ^= hostNumber([]byte("mail"))
	}
	return fmt.Sprintf("%s %x %s %q x%d", kind, unmixed(e.Session), addr, e.User, e.Count)
}

// unmixed is the number that sessionID made a session's of.
func unmixed(id uint64) (n uint64) {
	for _, shift := range []int{4, 0} {
		for i := range 8 {
			n = n<<4 | id>>(8*i+shift)&0xf
		}
	}
	return n
}

func TestOpenSMTPD(t *testing.T) {
	const id = "3c41a8f5b2d901f3"
	tests := []struct{ name, msg, want string }{
		{"connected", id + " smtp connected address=198.51.100.7 host=x.example.org", "connect " + id + ` 198.51.100.7 "" x1`},
		{"connected IPv6", id + " smtp connected address=[2001:db8::1] host=<unknown>", "connect " + id + ` 2001:db8::1 "" x1`},
		{"connected IPv6 before 6.6", id + " smtp connected address=IPv6:2001:db8::1 host=<unknown>", "connect " + id + ` 2001:db8::1 "" x1`},
		{"connected IPv4-mapped", id + " smtp connected address=[::ffff:198.51.100.7] host=x", "connect " + id + ` 198.51.100.7 "" x1`},
		{"connected with a zone", id + " smtp connected address=[fe80::1%em0] host=x", "connect " + id + ` fe80::1 "" x1`},
		{"connected local", id + " smtp connected address=local host=mail", "connect " + id + `  "" x1`},
		{"connected 6.0", id + " smtp event=connected address=198.51.100.7 host=x", "connect " + id + ` 198.51.100.7 "" x1`},
		{"connected without an address", id + " smtp connected address=x host=x", ""},
		{"connected, address not first", id + " smtp connected host=x address=198.51.100.7 host=x", ""},
		{"failure", id + " smtp authentication user=bob result=permfail", "failure " + id + `  "bob" x1`},
		{"failure 6.0", id + " smtp event=authentication user=bob result=permfail", "failure " + id + `  "bob" x1`},
		{"failure 6.4", id + " smtp authentication user=bob address=198.51.100.7 host=x result=permfail", "failure " + id + ` 198.51.100.7 "bob" x1`},
		{"failure, empty user", id + " smtp authentication user= result=permfail", "failure " + id + `  "" x1`},
		{"failure, user is a result", id + " smtp authentication user=result=ok result=permfail", "failure " + id + `  "result=ok" x1`},
		{"failure, words added", id + " smtp authentication user=bob result=ok result=permfail", ""},
		{"failure, user is an address", id + " smtp authentication user=address=8.8.8.8 result=permfail", "failure " + id + `  "address=8.8.8.8" x1`},
		{"failure, long name", id + " smtp authentication user=" + strings.Repeat("x", 8000) + " result=permfail", "failure " + id + `  "` + strings.Repeat("x", maxUser) + `" x1`},
		{"success", id + " smtp authentication user=bob result=ok", "success " + id + `  "bob" x1`},
		{"tempfail", id + " smtp authentication user=bob result=tempfail", ""},
		{"disconnected", id + " smtp disconnected reason=quit", "disconnect " + id + `  "" x1`},
		{"disconnected, cut off", id + " smtp disconnected", "disconnect scan " + id + `  "" x1`},
		{"closed", id + " smtp event=closed reason=quit", "disconnect " + id + `  "" x1`},
		{"command injects a failure", id + ` smtp failed-command command="x" smtp authentication user=x result=permfail`, "hint nothing " + id + `  "" x1`},
		{"command injects an address", id + ` smtp failed-command command="x" smtp connected address=8.8.8.8 host=x" result="500"`, "hint nothing " + id + `  "" x1`},
		{"no command", id + ` smtp failed-command command="GET / HTTP/1.1" result="500 5.5.1 Invalid command: Command unrecognized"`, "hint scan " + id + `  "" x1`},
		{"password refused", id + ` smtp failed-command command="AUTH LOGIN (password)" result="535 Authentication failed"`, "hint nothing " + id + `  "" x1`},
		{"AUTH malformed", id + ` smtp failed-command command="AUTH PLAIN (...)" result="501 5.5.2 Syntax error: Syntax error"`, "failure abort " + id + `  "" x1`},
		{"AUTH unknown", id + ` smtp failed-command command="auth x" result="250 ok" result="504 5.7.4 Security features not supported: AUTH method "x" result="250 ok" not supported"`, "failure abort " + id + `  "" x1`},
		{"user unknown", id + ` smtp failed-command command="RCPT TO:<x@example.org> " result="550 Invalid recipient: <x@example.org>"`, "failure harvest " + id + `  "" x1`},
		{"bad input", id + ` smtp bad-input result="500 5.5.1 Invalid command: Pipelining not supported"`, "hint scan " + id + `  "" x1`},
		{"message", id + ` smtp message msgid=6f2a9b1c size=1 nrcpt=1 proto=ESMTP`, "hint nothing " + id + `  "" x1`},
		{"disconnected for a reason", id + ` smtp disconnected reason="io-error: handshake failed: error"`, "disconnect scan " + id + `  "" x1`},
		{"proxy header", id + " smtp event=proxy address=198.51.100.7", ""},
		{"mta", id + ` mta delivery evpid=x stat="x smtp authentication user=x result=permfail"`, ""},
		{"id too short", id[1:] + " smtp authentication user=bob result=permfail", ""},
		{"id not hex", "x" + id[1:] + " smtp authentication user=bob result=permfail", ""},
		{"repeated", "message repeated 3 times: [ " + id + " smtp authentication user=bob result=permfail]", "failure " + id + `  "bob" x3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := parseText("Nov 20 10:00:00 mail smtpd[1]: " + tt.msg + "\n")
			got := ""
			if len(c.Events) == 1 {
				got = c.Events[0].String()
			}
			if got != tt.want || len(c.Events) > 1 {
				t.Errorf("parsing %q: got %v, want %q", tt.msg, c.Events, tt.want)
			}
		})
	}
}

// Only ban_smtpd's own tag can pardon, and only an address or a prefix.
func TestOwn(t *testing.T) {
	for line, want := range map[string]string{
		"ban_smtpd[1]: pardon address=203.0.113.7":                   "203.0.113.7/32",
		"ban_smtpd: pardon address=203.0.113.0/24":                   "203.0.113.0/24",
		"ban_smtpd[1]: pardon address=2001:db8::/64 x":               "2001:db8::/64",
		"ban_smtpd[1]: expire address=2001:db8::1 since=2026-11-20Z": "2001:db8::1/128",
		"ban_smtpd[1]: ban address=203.0.113.7":                      "",
		"ban_smtpd[1]: delete address=203.0.113.7":                   "",
		"ban_smtpd[1]:  pardon address=203.0.113.7":                  "",
		"ban_smtpd[1]: pardon address=203.0.113.7/33":                "",
		"ban_smtpd[1]: pardon address=fe80::1%em0":                   "",
		"ban_smtpd[1]: pardon address= 203.0.113.7":                  "",
		"smtpd[1]: ban_smtpd[1]: pardon address=203.0.113.7":         "",
		"x ban_smtpd[1]: pardon address=203.0.113.7":                 "",
		"smtpd[1]: pardon address=203.0.113.7":                       "",
	} {
		got := ""
		for _, e := range parseText("Nov 20 10:00:00 mail " + line + "\n").Events {
			got = netip.PrefixFrom(e.Addr, int(e.Bits)).String()
			if e.Kind != Release {
				got = "no release"
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestSessionID(t *testing.T) {
	good := "0123456789abcdef"
	for i := range 16 {
		for c := range 256 {
			text := []byte(good)
			text[i] = byte(c)
			want, err := strconv.ParseUint(string(text), 16, 64)
			wantOK := err == nil && !bytes.ContainsAny(text, "ABCDEF_+-")
			if got, ok := sessionID(text); ok != wantOK || ok && unmixed(got) != want {
				t.Errorf("%q: got %x, %v; want %x, %v", text, unmixed(got), ok, want, wantOK)
			}
		}
	}
}

func TestIPv4(t *testing.T) {
	for _, text := range []string{"", "0.0.0.0", "1.2.3.4", "255.255.255.255", "10.0.0.10", "1.2.3", "1.2.3.4.5", "1.2.3.",
		".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00", "256.1.1.1", "1.2.3.999999999999", "1.2.3.1000", "1.2.3.0255", "10.0.0.256", "1000.2.3.4", "1.2.3.18446744073709551617", "1.2.3.4 ", "1.2.3.x", "::1", "-1.2.3.4"} {
		want, err := netip.ParseAddr(text)
		got, ok := ipv4([]byte(text))
		if ok != (err == nil && want.Is4()) || ok && got != want {
			t.Errorf("%q: got %v, %v; want %v, %v", text, got, ok, want, err)
		}
	}
}

func TestStamp(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	date := func(text string) time.Time {
		d, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tests := []struct {
		name, written string
		loc           *time.Location
		stamp, want   string // want "": no stamp
	}{
		{"an hour that comes twice, east", "2026-11-21T12:00:00Z", berlin, "Oct 25 02:30:00", "2026-10-25T00:30:00Z"},
		{"an hour that comes twice, west", "2026-11-21T12:00:00Z", newYork, "Nov  1 01:30:00", "2026-11-01T05:30:00Z"},
		{"the hour after", "2026-11-21T12:00:00Z", berlin, "Oct 25 03:00:00", "2026-10-25T02:00:00Z"},
		{"this year", "2026-11-21T12:00:00Z", time.UTC, "Nov 21 11:59:59", "2026-11-21T11:59:59Z"},
		{"space before the day", "2026-11-21T12:00:00Z", time.UTC, "Nov  1 00:00:00", "2026-11-01T00:00:00Z"},
		{"one space before the day", "2026-11-21T12:00:00Z", time.UTC, "Nov 1 00:00:00", "2026-11-01T00:00:00Z"},
		{"a clock ahead", "2026-11-21T12:00:00Z", time.UTC, "Dec 21 12:00:00", "2026-12-21T12:00:00Z"},
		{"too far ahead is last year", "2026-11-21T12:00:00Z", time.UTC, "Dec 21 12:01:00", "2025-12-21T12:01:00Z"},
		{"eleven months", "2026-11-21T12:00:00Z", time.UTC, "Dec 22 12:00:00", "2025-12-22T12:00:00Z"},
		{"a clock ahead over New Year", "2026-12-31T23:59:00Z", time.UTC, "Jan  1 00:00:10", "2027-01-01T00:00:10Z"},
		{"over New Year", "2027-01-01T00:00:10Z", time.UTC, "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
		{"leap day", "2029-01-01T00:00:00Z", time.UTC, "Feb 29 12:00:00", "2028-02-29T12:00:00Z"},
		{"leap day over 1900", "1903-12-01T00:00:00Z", time.UTC, "Feb 29 12:00:00", "1896-02-29T12:00:00Z"},
		{"leap second", "2026-11-21T12:00:00Z", time.UTC, "Jun 30 23:59:60", "2026-07-01T00:00:00Z"},
		{"no such day", "2026-11-21T12:00:00Z", time.UTC, "Feb 30 12:00:00", ""},
		{"no such month", "2026-11-21T12:00:00Z", time.UTC, "nov 20 12:00:00", ""},
		{"no such hour", "2026-11-21T12:00:00Z", time.UTC, "Nov 20 24:00:00", ""},
		{"not digits", "2026-11-21T12:00:00Z", time.UTC, "Nov 20 1x:00:00", ""},
		{"local, winter", "2026-11-21T12:00:00Z", berlin, "Nov 20 12:00:00", "2026-11-20T11:00:00Z"},
		{"local, summer", "2026-11-21T12:00:00Z", berlin, "Jul 20 12:00:00", "2026-07-20T10:00:00Z"},
		{"syslogd -Z", "2026-11-21T12:00:00Z", berlin, "2026-11-20T12:00:00.123Z", "2026-11-20T12:00:00Z"},
		{"rsyslog", "2026-11-21T12:00:00Z", berlin, "2026-11-20T12:00:00.123456+01:00", "2026-11-20T11:00:00Z"},
		{"rsyslog without a fraction", "2026-11-21T12:00:00Z", berlin, "2026-11-20T12:00:00-08:30", "2026-11-20T20:30:00Z"},
		{"no zone", "2026-11-21T12:00:00Z", berlin, "2026-11-20T12:00:00", ""},
		{"no such date", "2026-11-21T12:00:00Z", berlin, "2026-02-29T12:00:00Z", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewParser(tt.loc, date(tt.written), Classes{})
			// Twice, as the second time comes from what the first remembered.
			for range 2 {
				when, rest, ok := p.stamp.cut([]byte(tt.stamp + " host x: y"))
				if tt.want == "" {
					if ok {
						t.Errorf("got %v, want no stamp", time.Unix(when, 0))
					}
					continue
				}
				if got := time.Unix(when, 0); !ok || !got.Equal(date(tt.want)) || string(rest) != " host x: y" {
					t.Errorf("got %v, rest %q, %v, want %s", got.UTC(), rest, ok, tt.want)
				}
			}
		})
	}
}

// The same text, cut into chunks after any line, gives the same events.
func TestChunks(t *testing.T) {
	for _, text := range samples(t) {
		want := parseText(string(text))
		Resolve(want, End{})
		var got []string
		var before End
		p := NewParser(time.UTC, written, Classes{true, true, true, true})
		lines, skipped := 0, 0
		for line := range bytes.Lines(text) {
			c := &Chunk{}
			p.Parse(line, c)
			before = Resolve(c, before)
			for _, e := range c.Events {
				got = append(got, e.String())
			}
			lines += c.Lines
			skipped += c.Skipped
		}
		if lines != want.Lines || skipped != want.Skipped || len(got) != len(want.Events) {
			t.Errorf("got %d lines, %d skipped, %d events; want %d, %d, %d",
				lines, skipped, len(got), want.Lines, want.Skipped, len(want.Events))
			continue
		}
		for i, e := range want.Events {
			if got[i] != e.String() {
				t.Errorf("event %d: got %s, want %s", i, got[i], e)
			}
		}
	}
}

func samples(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob("../regress/*.in")
	if err != nil || len(names) == 0 {
		t.Fatalf("no samples in ../regress: %v", err)
	}
	var list [][]byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
	return list
}

// vis encodes a user name as smtpd does (VIS_WHITE|VIS_SAFE, here of white
// space and backslashes only), and syslog what syslogd(8) does with newlines.
var (
	vis    = strings.NewReplacer("\\", `\\`, " ", `\040`, "\t", `\011`, "\n", `\012`, "\x00", "")
	syslog = strings.NewReplacer("\n", " ")
)

// Whatever a client sends as a user name or a command, and whatever its name
// is: there is one session from its own address, with one failure.
func FuzzLine(f *testing.F) {
	f.Add("bob", "HELO x", "mail.example.org")
	f.Add("x result=ok", `8.8.8.8" smtp connected address=8.8.8.8 host=x`, "<unknown>")
	f.Add("x", "x smtp authentication user=x result=permfail", "x")
	for _, text := range samples(f) {
		for line := range bytes.Lines(text) {
			f.Add(string(line), string(line), "x")
		}
	}
	f.Fuzz(func(t *testing.T, user, command, host string) {
		const head = "Nov 20 10:00:00 mail smtpd[1]: 3c41a8f5b2d901f3 smtp "
		log := head + "connected address=198.51.100.7 host=" + vis.Replace(host) + "\n" +
			head + "authentication user=" + vis.Replace(user) + " result=permfail\n" +
			head + `failed-command command="` + syslog.Replace(command) + `" result="535 ` + syslog.Replace(command) + `"` + "\n" +
			head + "disconnected reason=quit\n"
		if len(user)+len(host) > 8<<10 {
			return
		}
		c := parseText(log)
		c.Events = slices.DeleteFunc(c.Events, func(e Event) bool { return e.Kind == Hint || e.Class == Harvest || e.Class == Abort })
		if len(c.Events) != 3 || c.Events[0].Kind != Connect || c.Events[1].Kind != Failure || c.Events[2].Kind != Disconnect {
			t.Fatalf("events %v of\n%s", c.Events, log)
		}
		if got := c.Events[0].Addr.String(); got != "198.51.100.7" {
			t.Errorf("address %s of\n%s", got, log)
		}
		want := vis.Replace(user)
		want = want[:min(len(want), maxUser)]
		if got := string(c.Events[1].User); got != want || c.Events[1].Addr.IsValid() {
			t.Errorf("user %q, address %v of\n%s", got, c.Events[1].Addr, log)
		}
		// And as a line of its own it does no harm.
		c = parseText(user + "\n" + command)
		if c.Lines < 1 || len(c.Events) > c.Lines {
			t.Errorf("%d events in %d lines", len(c.Events), c.Lines)
		}
	})
}

// The stages of parsing: to find the lines, to read their stamps, and all of it,
// with the default class or all of them.
func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("../regress/brute.in")
	if err != nil {
		b.Fatal(err)
	}
	text = bytes.Repeat(text, (256<<10)/len(text))
	bench := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				f()
			}
		})
	}
	lines := 0
	bench("lines", func() {
		for rest := text; len(rest) > 0; lines++ {
			rest = rest[bytes.IndexByte(rest, '\n')+1:]
		}
	})
	p := NewParser(time.UTC, written, Classes{})
	bench("stamps", func() {
		for rest := text; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\n')
			p.stamp.cut(rest[:i])
			rest = rest[i+1:]
		}
	})
	c := &Chunk{}
	bench("auth", func() { p.Parse(text, c) })
	all := NewParser(time.UTC, written, Classes{true, true, true, true})
	bench("all", func() { all.Parse(text, c) })
}

func TestBeginning(t *testing.T) {
	text := []byte(strings.Repeat("Nov 20 10:00:00 mail smtpd[1]: ", 4))
	for n := range 80 {
		var b beginning
		b.set(text[:n])
		if got := b.of(text); got != n && (got != 0 || n <= 64) {
			t.Errorf("%d bytes: got %d", n, got)
		}
		if got := b.of(text[:max(n, 63)]); got != 0 && got != n {
			t.Errorf("%d bytes of a short line: got %d", n, got)
		}
		for i := range n {
			line := bytes.Clone(text)
			line[i] ^= 0x20
			if got := b.of(line); got != 0 {
				t.Errorf("%d bytes, another one at %d: got %d", n, i, got)
			}
		}
	}
}

// What is packed is what is unpacked.
func TestPack(t *testing.T) {
	for _, text := range samples(t) {
		want, got := parseText(string(text)), &Chunk{}
		got.Unpack(want.Pack(nil))
		want.users, got.users = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	}
}
