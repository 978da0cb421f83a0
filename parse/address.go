package parse

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// address reads an address, which is IPv4 when it is an IPv4 one mapped into
// IPv6 (RFC 4291, 2.5.5.2), and has no zone.
func address(text []byte) (netip.Addr, bool) {
	if addr, ok := ipv4(text); ok {
		return addr, true
	}
	const longest = 80 // an IPv6 address with the name of an interface
	if len(text) > longest {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(text))
	return addr.Unmap().WithZone(""), err == nil
}

// ipv4 reads most addresses there are without an allocation, which
// netip.ParseAddr does not; it is as strict.
func ipv4(text []byte) (netip.Addr, bool) {
	if len(text) > len("255.255.255.255") {
		return netip.Addr{}, false
	}
	addr, n, digits, value := uint32(0), 0, 0, uint32(0)
	for _, c := range text {
		if d := uint32(c) - '0'; d <= 9 {
			if digits > 0 && value == 0 {
				return netip.Addr{}, false
			}
			value = 10*value + d
			digits++
			continue
		}
		if c != '.' || digits == 0 || value > 255 || n > 2 {
			return netip.Addr{}, false
		}
		addr = addr<<8 | value
		n, digits, value = n+1, 0, 0
	}
	var quad [4]byte
	binary.BigEndian.PutUint32(quad[:], addr<<8|value)
	return netip.AddrFrom4(quad), n == 3 && digits > 0 && value <= 255
}

// clientPort reads "ADDR port N", as sshd writes it.
func clientPort(text []byte) (netip.Addr, bool) {
	addr, port, ok := bytes.Cut(text, []byte(" port "))
	if n, after := number(port); !ok || n == 0 || len(after) > 0 {
		return netip.Addr{}, false
	}
	return address(addr)
}

// lastField cuts text around the last name in it. What is right of that no client
// can have written, if it has a form that is checked.
func lastField(text []byte, name string) (left, right []byte, ok bool) {
	i := bytes.LastIndex(text, []byte(name))
	if i < 0 {
		return nil, nil, false
	}
	return text[:i], text[i+len(name):], true
}
