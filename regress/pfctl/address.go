package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// address is a token of the command line or of a list, decoded.
type address struct {
	prefix netip.Prefix
	not    bool
	weight int
}

// errSilent is an error whose text is printed already.
var errSilent = errors.New("")

// loadAddresses is load_addr() and pfr_buf_load(): first the arguments, then
// the file. hosts allows plain hosts only, as test does. Everything is parsed
// before anything is done.
func (c *call) loadAddresses(hosts bool) ([]address, bool) {
	list, err := c.decodeAll(c.args, hosts, func(token string) {
		fmt.Fprintf(c.stderr, "pfctl: cannot decode %s: Invalid argument\n", token)
	})
	if err != nil {
		return nil, false
	}
	if !c.hasFile {
		return list, true
	}
	text, err := c.read()
	if err != nil {
		var errno syscall.Errno
		reason := err.Error()
		if errors.As(err, &errno) {
			reason = map[syscall.Errno]string{syscall.ENOENT: "No such file or directory", syscall.EISDIR: "Is a directory"}[errno]
		}
		fmt.Fprintf(c.stderr, "pfctl: cannot load %s: %s\n", c.file, reason)
		return nil, false
	}
	invalid := false
	more, err := c.decodeAll(tokens(text), hosts, func(string) { invalid = true })
	switch {
	case invalid:
		fmt.Fprintf(c.stderr, "pfctl: cannot load %s: Invalid argument\n", c.file)
		return nil, false
	case err != nil:
		fmt.Fprintf(c.stderr, "pfctl: cannot load %s: Undefined error: 0\n", c.file)
		return nil, false
	}
	return append(list, more...), true
}

func (c *call) read() (string, error) {
	if c.file == "-" {
		text, err := io.ReadAll(c.stdin)
		c.logStdin(string(text))
		return string(text), err
	}
	text, err := os.ReadFile(c.file)
	return string(text), err
}

// tokens splits a list as pfr_next_token() does: at white space of the C
// locale, with comments only where a token could begin.
func tokens(text string) (list []string) {
	const space = " \t\n\v\f\r"
	for {
		text = strings.TrimLeft(text, space)
		if text == "" {
			return list
		}
		if text[0] == '#' {
			_, text, _ = strings.Cut(text, "\n")
			continue
		}
		i := strings.IndexAny(text, space)
		if i < 0 {
			i = len(text)
		}
		list = append(list, text[:i])
		text = text[i:]
	}
}

// decodeAll decodes tokens. invalid is called for one that is well formed but
// not allowed (EINVAL).
func (c *call) decodeAll(tokens []string, hosts bool, invalid func(string)) (list []address, err error) {
	for i := 0; i < len(tokens); i++ {
		token := tokens[i]
		if token == "weight" && len(list) > 0 {
			if i++; i == len(tokens) {
				if c.hasFile {
					c.refuse("weight at the end of a list")
				}
				fmt.Fprintln(c.stderr, "pfctl: failed to decode weight")
				return nil, errSilent
			}
			n, err := strconv.Atoi(tokens[i])
			if err != nil || n < 1 || n > 65535 {
				c.refuse("weight with a bad number")
			}
			list[len(list)-1].weight = n
			continue
		}
		if len(token) > 255 {
			invalid(token)
			return nil, errSilent
		}
		a, einval, err := c.decode(token)
		if err != nil {
			return nil, err
		}
		if einval || hosts && (a.not || !a.prefix.IsSingleIP()) {
			invalid(token)
			return nil, errSilent
		}
		list = append(list, a)
	}
	return list, nil
}

// decode is append_addr() and host() of pfctl_parser.c. einval is for an IPv4
// address with a mask over 32, which only the kernel's form cannot hold.
func (c *call) decode(token string) (a address, einval bool, err error) {
	s := strings.TrimLeft(token, "!")
	a.not = (len(token)-len(s))%2 == 1
	host, mask, masked := strings.Cut(s, "/")
	bits := -1
	if masked {
		n, err := strconv.ParseInt(mask, 10, 64)
		switch {
		case err != nil && !errors.Is(err, strconv.ErrRange):
			fmt.Fprintf(c.stderr, "netmask is invalid: /%s\n", mask)
			return a, false, errSilent
		case n < 0:
			fmt.Fprintf(c.stderr, "netmask is too small: /%s\n", mask)
			return a, false, errSilent
		case n > 128:
			fmt.Fprintf(c.stderr, "netmask is too large: /%s\n", mask)
			return a, false, errSilent
		}
		bits = int(n)
	}
	addr, ok := parseIPv4(host, masked)
	if !ok {
		addr, ok = parseIPv6(host)
	}
	if !ok && (host == "localhost" || strings.HasSuffix(host, ".localhost")) && !masked {
		addr, ok = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true // asr knows it without DNS
	}
	if !ok {
		// An interface, or a name in DNS: not on the machines we know.
		if host == "self" || strings.HasPrefix(host, "self:") {
			c.refuse("self")
		}
		fmt.Fprintf(c.stderr, "no IP address found for %s\n", s)
		return a, false, errSilent
	}
	if bits < 0 {
		bits = addr.BitLen()
	}
	if bits > addr.BitLen() {
		return a, true, nil
	}
	a.prefix = netip.PrefixFrom(addr, bits).Masked()
	return a, false, nil
}

// parseIPv4 is inet_pton(3), which allows leading zeros, or with a mask
// inet_net_pton(3), which allows fewer parts, and hex.
func parseIPv4(s string, masked bool) (netip.Addr, bool) {
	var quad [4]byte
	if digits, ok := strings.CutPrefix(s, "0x"); ok && masked {
		if len(digits)%2 == 1 {
			digits += "0"
		}
		if len(digits) == 0 || len(digits) > 8 {
			return netip.Addr{}, false
		}
		for i := 0; i < len(digits); i += 2 {
			n, err := strconv.ParseUint(digits[i:i+2], 16, 8)
			if err != nil {
				return netip.Addr{}, false
			}
			quad[i/2] = byte(n)
		}
		return netip.AddrFrom4(quad), true
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 || len(parts) < 4 && !masked {
		return netip.Addr{}, false
	}
	for i, part := range parts {
		if strings.Trim(part, "0123456789") != "" || part == "" {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		quad[i] = byte(n)
	}
	return netip.AddrFrom4(quad), true
}

// parseIPv6 is getaddrinfo(3) with AI_NUMERICHOST. A scope is dropped, but has
// to be one: here a number, as names of interfaces depend on the machine.
func parseIPv6(s string) (netip.Addr, bool) {
	s, zone, zoned := strings.Cut(s, "%")
	if _, err := strconv.ParseUint(zone, 10, 32); zoned && err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	return addr, err == nil && addr.Is6()
}

// text prints a prefix as pfctl does, by inet_ntop(3): netip writes an address
// that is IPv4-compatible (RFC 4291, 2.5.5.1) without dots.
func text(p netip.Prefix) string {
	addr := p.Addr()
	s := addr.String()
	if b := addr.As16(); addr.Is6() && [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		s = "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	if !p.IsSingleIP() {
		s += "/" + strconv.Itoa(p.Bits())
	}
	return s
}
