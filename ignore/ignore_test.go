package ignore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

const fileName = "ignore.txt"

// write puts text into a file of its own and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), fileName)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// lookup knows the names mailhost and mx.example.net.
func lookup(name string) ([]netip.Addr, error) {
	switch name {
	case "mailhost":
		return []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.1"), netip.MustParseAddr("2001:db8:9::1%em0")}, nil
	case "mx.example.net", "mx.example.net.":
		return []netip.Addr{netip.MustParseAddr("198.51.100.25")}, nil
	case "empty.example.net":
		return nil, nil
	case "slow.example.net":
		return nil, errors.New("no time left")
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, Server: "192.0.2.53:53", IsNotFound: true}
}

func noLookup(name string) ([]netip.Addr, error) {
	return nil, fmt.Errorf("%q was looked up", name)
}

func TestNew(t *testing.T) {
	tests := []struct {
		addr string
		want bool
	}{
		{"127.0.0.1", true},
		{"127.255.255.255", true},
		{"128.0.0.0", false},
		{"126.255.255.255", false},
		{"::1", true},
		{"::2", false},
		{"::", true},
		{"0.0.0.0", true},
		{"0.1.2.3", true},
		{"1.0.0.0", false},
		{"169.254.7.7", true},
		{"169.253.255.255", false},
		{"fe80::1", true},
		{"fe80::1%em0", true},
		{"febf:ffff::", true},
		{"fec0::", false},
		{"223.255.255.255", false},
		{"224.0.0.1", true},
		{"239.255.255.255", true},
		{"240.0.0.0", false},
		{"ff02::1", true},
		{"255.255.255.255", true},
		{"255.255.255.254", false},
		{"::ffff:127.0.0.1", true},
		{"::ffff:192.0.2.1", false},
		{"192.0.2.1", false},
		{"10.0.0.1", false},
		{"2001:db8::1", false},
	}
	l := New()
	for _, test := range tests {
		if got := l.Contains(netip.MustParseAddr(test.addr)); got != test.want {
			t.Errorf("Contains(%s) = %v, want %v", test.addr, got, test.want)
		}
	}
	if l.Contains(netip.Addr{}) || l.Overlaps(netip.Prefix{}) {
		t.Error("what is no address is in the list")
	}
}

func TestAddHost(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	l := &List{}
	if err := l.AddHost(); err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			t.Fatal(err)
		}
		if !l.Contains(p.Addr()) {
			t.Errorf("%s is not in the list", p.Addr())
		}
	}
	for _, n := range l.nets {
		if !n.IsSingleIP() {
			t.Errorf("%s is in the list, want single addresses", n)
		}
	}
}

func TestOverlaps(t *testing.T) {
	l := &List{}
	if _, err := l.ReadFile(write(t, "192.0.2.64/26\n198.51.100.7\n2001:db8:0:1::5\n2001:db8:f::/48\n"), noLookup); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, prefix string
		want         bool
	}{
		{"the same", "192.0.2.64/26", true},
		{"inside", "192.0.2.65/32", true},
		{"around", "192.0.2.0/24", true},
		{"before", "192.0.2.0/26", false},
		{"behind", "192.0.2.128/25", false},
		{"everything", "0.0.0.0/0", true},
		{"host bits set", "198.51.100.255/24", true},
		{"IPv4-mapped", "::ffff:198.51.100.0/120", true},
		{"IPv4-mapped elsewhere", "::ffff:203.0.113.0/120", false},
		{"client /64 of one ignored address", "2001:db8:0:1::/64", true},
		{"next /64", "2001:db8:0:2::/64", false},
		{"/64 in an ignored /48", "2001:db8:f:7::/64", true},
		{"other family", "c000:200::/24", false},
	}
	for _, test := range tests {
		if got := l.Overlaps(netip.MustParsePrefix(test.prefix)); got != test.want {
			t.Errorf("%s: Overlaps(%s) = %v, want %v", test.name, test.prefix, got, test.want)
		}
	}
}

func TestReadFile(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // the list, in its own order
	}{
		{"empty", "", ""},
		{"blank lines", "\n \t\n\r\n", ""},
		{"addresses", "192.0.2.1\n2001:db8::1\n", "192.0.2.1/32 2001:db8::1/128"},
		{"no newline at the end", "192.0.2.1", "192.0.2.1/32"},
		{"CRLF", "192.0.2.1\r\n192.0.2.3\r\n", "192.0.2.1/32 192.0.2.3/32"},
		{"byte order mark", "\uFEFF192.0.2.1\n", "192.0.2.1/32"},
		{"byte order mark before a comment", "\uFEFF# office\n192.0.2.1\n", "192.0.2.1/32"},
		{"white space", " \t192.0.2.1\t \n", "192.0.2.1/32"},
		{"comments", "#office\n  # home\n192.0.2.1 # one\n192.0.2.3\t#two # three\n#192.0.2.5\n", "192.0.2.1/32 192.0.2.3/32"},
		{"comment of any bytes", "192.0.2.1 # caf\xe9 \x00\x1b[2J\n", "192.0.2.1/32"},
		{"host bits", "192.0.2.77/24\n2001:db8::77/32\n", "192.0.2.0/24 2001:db8::/32"},
		{"nested", "192.0.2.7\n192.0.2.0/24\n192.0.0.0/16\n192.0.2.7/32\n192.0.2.0/25\n", "192.0.0.0/16"},
		{"IPv4-mapped", "::ffff:192.0.2.1\n::ffff:198.51.100.9/120\n", "192.0.2.1/32 198.51.100.0/24"},
		{"all of IPv4, mapped", "::ffff:0:0/96\n", "0.0.0.0/0"},
		{"wider than all mapped addresses", "::ffff:0:0/95\n", "::fffe:0:0/95"},
		{"everything", "0.0.0.0/0\n::/0\n192.0.2.1\n", "0.0.0.0/0 ::/0"},
		{"zone", "fe80::1%em0\nfe80::2:1%em0/112\n", "fe80::1/128 fe80::2:0/112"},
		{"brackets", "[2001:db8::1]\n[2001:db8:1::]/48\n[fe80::1%em0]\n", "2001:db8::1/128 2001:db8:1::/48 fe80::1/128"},
		{"capitals", "2001:DB8::A\n", "2001:db8::a/128"},
		{"host name", "mailhost # ours\n", "198.51.100.1/32 2001:db8:9::1/128"},
		{"host name with a root dot", "mx.example.net.\n", "198.51.100.25/32"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := &List{}
			unresolved, err := l.ReadFile(write(t, test.text), lookup)
			if err != nil || unresolved != nil {
				t.Fatalf("ReadFile of %q: %v, %v", test.text, unresolved, err)
			}
			if got := strings.Trim(fmt.Sprint(l.nets), "[]"); got != test.want {
				t.Errorf("ReadFile of %q: got %s, want %s", test.text, got, test.want)
			}
		})
	}
}

func TestReadFileErrors(t *testing.T) {
	bad := func(line int, text string) string {
		return fmt.Sprintf(":%d: not an address, prefix or host name: %s", line, text)
	}
	tests := []struct {
		name, text, want string
	}{
		{"typo", "# office\n\n192.0.2.x\n", bad(3, `"192.0.2.x"`)},
		{"first of two", "192.0.2.1\n1.2.3\n1.2.4\n", bad(2, `"1.2.3"`)},
		{"prefix too long", "10.0.0.0/33\n", bad(1, `"10.0.0.0/33"`)},
		{"negative prefix", "10.0.0.0/-1\n", bad(1, `"10.0.0.0/-1"`)},
		{"two prefixes", "10.0.0.0/8/8\n", bad(1, `"10.0.0.0/8/8"`)},
		{"no prefix", "10.0.0.0/\n", bad(1, `"10.0.0.0/"`)},
		{"netmask", "10.0.0.0/255.0.0.0\n", bad(1, `"10.0.0.0/255.0.0.0"`)},
		{"mapped prefix too long", "::ffff:192.0.2.1/129\n", bad(1, `"::ffff:192.0.2.1/129"`)},
		{"number too large", "192.0.2.300\n", bad(1, `"192.0.2.300"`)},
		{"leading zero", "192.0.2.010\n", bad(1, `"192.0.2.010"`)},
		{"bad IPv6", "2001:db8::g\n", bad(1, `"2001:db8::g"`)},
		{"port", "192.0.2.1:25\n", bad(1, `"192.0.2.1:25"`)},
		{"range", "192.0.2.1-192.0.2.9\n", bad(1, `"192.0.2.1-192.0.2.9"`)},
		{"two entries", "192.0.2.1 192.0.2.2\n", bad(1, `"192.0.2.1 192.0.2.2"`)},
		{"negation as in pf.conf", "!192.0.2.1\n", bad(1, `"!192.0.2.1"`)},
		{"comment sign in a word", "192.0.2.1#office\n", bad(1, `"192.0.2.1#office"`)},
		{"brackets around IPv4", "[192.0.2.1]\n", bad(1, `"[192.0.2.1]"`)},
		{"brackets around a prefix", "[2001:db8::/32]\n", bad(1, `"[2001:db8::/32]"`)},
		{"half a bracket", "[2001:db8::1\n", bad(1, `"[2001:db8::1"`)},
		{"brackets around a name", "[mailhost]\n", bad(1, `"[mailhost]"`)},
		{"prefix of a name", "mailhost/24\n", bad(1, `"mailhost/24"`)},
		{"escape sequence", "\x1b[2J\x07\n", bad(1, `"\x1b[2J\a"`)},
		{"not UTF-8", "h\xf6st.example.net\n", bad(1, `"h\xf6st.example.net"`)},
		{"text that runs backwards", "\u202ehost\n", bad(1, `"\u202ehost"`)},
		{"carriage return in a line", "192.0.2.1\r192.0.2.2\n", bad(1, `"192.0.2.1\r192.0.2.2"`)},
		{"NUL", "192.0.2.1\x00\n", bad(1, `"192.0.2.1\x00"`)},
		{"byte order mark further down", "192.0.2.1\n\uFEFF192.0.2.2\n", bad(2, `"\ufeff192.0.2.2"`)},
		{"long line", "192.0.2.1\n#" + strings.Repeat("x", maxLine) + "\n", ":2: line longer than 4096 bytes"},
		{"large file", strings.Repeat("\n", maxFile+1), ": larger than 16777216 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := write(t, test.text)
			l := New()
			before := fmt.Sprint(l.nets)
			_, err := l.ReadFile(name, noLookup)
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			if got := err.Error(); got != name+test.want {
				t.Errorf("got %s, want %s", got, name+test.want)
			}
			if after := fmt.Sprint(l.nets); after != before {
				t.Errorf("the list has changed: got %s, want %s", after, before)
			}
		})
	}
}

func TestReadFileLimits(t *testing.T) {
	line := "192.0.2.1 #" + strings.Repeat("x", maxLine-11)
	text := strings.Repeat(line+"\r\n", maxFile/(maxLine+2))
	if _, err := New().ReadFile(write(t, text), noLookup); err != nil {
		t.Error(err)
	}
	if _, err := New().ReadFile("/dev/zero", noLookup); err == nil {
		t.Error("/dev/zero: no error")
	}
	if _, err := New().ReadFile(os.DevNull, noLookup); err != nil {
		t.Error(err)
	}
}

func TestReadFileMissing(t *testing.T) {
	name := filepath.Join(t.TempDir(), fileName)
	_, err := New().ReadFile(name, noLookup)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if _, err := New().ReadFile(filepath.Dir(name), noLookup); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory: got %v, want another error", err)
	}
}

func TestUnresolved(t *testing.T) {
	name := write(t, "192.0.2.1\ngone.example.net\nmailhost\nslow.example.net\n\nempty.example.net\n192.0.2.2\n")
	l := &List{}
	unresolved, err := l.ReadFile(name, lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		name + `:2: cannot resolve "gone.example.net": no such host`,
		name + `:4: cannot resolve "slow.example.net": no time left`,
		name + `:6: cannot resolve "empty.example.net": no address`,
	}
	if got := fmt.Sprintf("%q", unresolved); got != fmt.Sprintf("%q", want) {
		t.Errorf("got %s, want %q", got, want)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8:9::1"} {
		if !l.Contains(netip.MustParseAddr(a)) {
			t.Errorf("%s is not in the list", a)
		}
	}
}

func TestIsHost(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := label + "." + label + "." + label + "."
	tests := []struct {
		name string
		want bool
	}{
		{"localhost", true},
		{"mailhost", true},
		{"mx1", true},
		{"mx.example.net", true},
		{"mx.example.net.", true},
		{"MX_1.Example-2.NET", true},
		{"163.com", true},
		{"1.example.com", true},
		{"mx.xn--p1ai", true},
		{label, true},
		{long + label[:61], true},
		{long + label[:61] + ".", true},
		{long + label[:62], false},
		{label + "a", false},
		{"", false},
		{".", false},
		{".example.net", false},
		{"mx..example.net", false},
		{"mx.example.net..", false},
		{"x", false},
		{"1", false},
		{"3221225985", false},
		{"0x7f000001", false},
		{"0x7f.1", false},
		{"1.2.3", false},
		{"192.0.2.1.", false},
		{"192.0.2.x", false},
		{"192.0.2.xx", false},
		{"192.0.x.x", false},
		{"192.0.2.1a", false},
		{"192.o.2.1", false},
		{"192.0.2.300", false},
		{"10.x", false},
		{"mx.example.n*t", false},
		{"-.-", false},
		{"h\u00f6st.example.net", false},
	}
	for _, test := range tests {
		if got := isHost(test.name); got != test.want {
			t.Errorf("isHost(%q) = %v, want %v", test.name, got, test.want)
		}
	}
}

// The list against a loop over all that was put into it.
func TestSameAsLoop(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	// Few different bytes, so that prefixes nest and addresses hit.
	addr := func() netip.Addr {
		b := make([]byte, []int{4, 16}[rng.IntN(2)])
		for i := range b {
			b[i] = []byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
		}
		if len(b) == 16 && rng.IntN(8) == 0 {
			copy(b, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff")
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	prefix := func() netip.Prefix {
		a := addr()
		bits := a.BitLen()
		if rng.IntN(4) > 0 {
			bits = bits/8 + rng.IntN(bits-bits/8+1)
		}
		return netip.PrefixFrom(a, bits)
	}
	for range 300 {
		l := &List{}
		var loop []netip.Prefix
		for range 1 + rng.IntN(3) { // several files
			var text strings.Builder
			for range rng.IntN(40) {
				p := prefix()
				loop = append(loop, canonical(p))
				fmt.Fprintln(&text, p)
			}
			if _, err := l.ReadFile(write(t, text.String()), noLookup); err != nil {
				t.Fatal(err)
			}
		}
		for i := 1; i < len(l.nets); i++ {
			if a, b := l.nets[i-1], l.nets[i]; a.Overlaps(b) || a.Addr().Compare(b.Addr()) >= 0 {
				t.Fatalf("%s stands before %s", a, b)
			}
		}
		var hits int
		for range 400 {
			a, p := addr(), prefix()
			var contains, overlaps bool
			for _, n := range loop {
				contains = contains || n.Contains(a.Unmap())
				overlaps = overlaps || n.Overlaps(canonical(p))
			}
			if got := l.Contains(a); got != contains {
				t.Fatalf("%v: Contains(%s) = %v, want %v", l.nets, a, got, contains)
			}
			if got := l.Overlaps(p); got != overlaps {
				t.Fatalf("%v: Overlaps(%s) = %v, want %v", l.nets, p, got, overlaps)
			}
			if contains || overlaps {
				hits++
			}
		}
		if len(loop) > 20 && hits == 0 {
			t.Fatal("nothing was ever in the list: the test tests nothing")
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "\uFEFF# ours\r\n192.0.2.1 # office\r\n\r\n", "10.1.2.3/8\n::/0\n0.0.0.0/0\n",
		"[fe80::1%em0]/64\n::ffff:192.0.2.1/120\n::ffff:0:0/95\n", "mailhost\nmx.example.net.\n163.com\n",
		"192.0.2.x\n", "10.0.0.0/33", "1.2.3", "192.0.2.300", "\x1b[2J", "192.0.2.1#x", "a\r\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parse(fileName, text)
		if err != nil {
			msg := err.Error()
			if !strings.HasPrefix(msg, fileName+":") || strings.ContainsFunc(msg, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("parse(%q): error %q", text, msg)
			}
			return
		}
		l := &List{}
		for _, e := range entries {
			if e.host == "" {
				l.add(e.net)
			}
		}
		last := 0
		for _, e := range entries {
			if e.line <= last {
				t.Errorf("parse(%q): line %d after line %d", text, e.line, last)
			}
			last = e.line
			if e.host != "" {
				if _, err := netip.ParseAddr(e.host); err == nil || e.net.IsValid() || !strings.Contains(text, e.host) {
					t.Errorf("parse(%q): host %q, net %s", text, e.host, e.net)
				}
				continue
			}
			if e.net != canonical(e.net) || !l.Contains(e.net.Addr()) || !l.Overlaps(e.net) {
				t.Errorf("parse(%q): %s is not in %v", text, e.net, l.nets)
			}
		}
	})
}

func BenchmarkContains(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	addrs := make([]netip.Addr, 100_000)
	nets := make([]netip.Prefix, len(addrs))
	for i := range addrs {
		n := rng.Uint32()
		addrs[i] = netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
		nets[i] = netip.PrefixFrom(addrs[i], 24).Masked()
	}
	l := &List{}
	l.add(nets...)
	i := 0
	for b.Loop() {
		if !l.Contains(addrs[i%len(addrs)]) {
			b.Fatal(addrs[i%len(addrs)])
		}
		i++
	}
}
