package ignore

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// The file is root's own, but a wrong name may lead to a device without end.
const (
	maxFile = 16 << 20 // bytes
	maxLine = 4096     // bytes, without the line's end
)

// An entry is one line of the file: a network, or a host if that is not empty.
type entry struct {
	line int
	net  netip.Prefix
	host string
}

func read(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return string(b), nil
}

// parse returns the entries of text, or the first line that is none.
func parse(name, text string) ([]entry, error) {
	var entries []entry
	line := 0
	for s := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		line++
		if s = strings.TrimRight(s, "\r\n"); len(s) > maxLine {
			return nil, fmt.Errorf("%s:%d: line longer than %d bytes", name, line, maxLine)
		}
		if s = strings.TrimSpace(uncomment(s)); s == "" {
			continue
		}
		e := entry{line: line}
		var ok bool
		if e.net, ok = parseNet(s); !ok {
			if !isHost(s) {
				return nil, fmt.Errorf("%s:%d: not an address, prefix or host name: %q", name, line, s)
			}
			e.host = s
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// uncomment cuts the comment off a line. Inside a word a # starts none.
func uncomment(s string) string {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || strings.IndexByte(" \t", s[i-1]) >= 0) {
			return s[:i]
		}
	}
	return s
}

// parseNet reads an address or a prefix. Host bits are masked off, a zone is
// dropped, an IPv6 address may stand in brackets.
func parseNet(s string) (netip.Prefix, bool) {
	addr, bits, isPrefix := strings.Cut(s, "/")
	inner, bracketed := strings.CutPrefix(addr, "[")
	if bracketed {
		if addr, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return netip.Prefix{}, false
		}
	}
	a, err := netip.ParseAddr(addr)
	if err != nil || bracketed && a.Is4() {
		return netip.Prefix{}, false
	}
	if !isPrefix {
		return single(a), true
	}
	p, err := netip.ParsePrefix(a.WithZone("").String() + "/" + bits)
	return canonical(p), err == nil
}

// isHost reports whether s can only be meant as a host name. A mistyped
// address must be an error: looked up, it would silently protect nobody, or
// whomever the resolver makes of it. So the last label, or the only one, starts
// with a letter and has another character, as every top-level domain does and
// 192.0.2.300, 192.0.2.x, 1.2.3 and 0x7f.1 do not. And a name that starts with
// two numbers is an IPv4 address gone wrong (192.0.2.xx); with one number it
// may be 163.com.
func isHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.TrimLeft(l, letters+digits+"-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	if len(s) > 253 || len(last) < 2 || strings.IndexByte(letters, last[0]) < 0 {
		return false
	}
	return len(labels) < 2 || !isNumber(labels[0]) || !isNumber(labels[1])
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func isNumber(s string) bool {
	return strings.TrimLeft(s, digits) == ""
}
