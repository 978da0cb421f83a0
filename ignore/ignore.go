// Package ignore is the list of addresses that are never banned: what no host
// should ever ban, this host's own addresses, and what the admin wrote into
// /etc/mail/ignore.txt. A host name in that file is resolved once, when the
// file is read: an address that it gets later is not ignored before the next
// run.
package ignore

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Lookup resolves a host name that the admin wrote into an ignore file.
type Lookup func(name string) ([]netip.Addr, error)

// List is the set of addresses never to ban.
type List struct {
	nets []netip.Prefix // masked, disjoint, in the order of their addresses
}

// New returns a List of what is never banned on any host: addresses that no
// client on the network can have, or that only a neighbour or this host has.
func New() *List {
	l := &List{}
	l.add(
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("::/128"),
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("ff00::/8"),
	)
	return l
}

// AddHost adds the addresses of this host's interfaces, but not the networks
// around them: a neighbour may well be a bot.
func (l *List) AddHost() error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	var nets []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet) // the only kind there is on Unix
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			nets = append(nets, single(ip))
		}
	}
	l.add(nets...)
	return nil
}

// ReadFile adds the entries of the file name. A host name that does not
// resolve is no reason to run without the rest: it is reported in unresolved.
// Any other fault is an err, and then the List is as it was. The error of a
// file that is not there is fs.ErrNotExist.
func (l *List) ReadFile(name string, lookup Lookup) (unresolved []error, err error) {
	text, err := read(name)
	if err != nil {
		return nil, err
	}
	entries, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	var nets []netip.Prefix
	for _, e := range entries {
		if e.host == "" {
			nets = append(nets, e.net)
			continue
		}
		addrs, err := lookup(e.host)
		if err == nil && len(addrs) == 0 {
			err = errors.New("no address")
		}
		if err != nil {
			unresolved = append(unresolved, fmt.Errorf("%s:%d: cannot resolve %q: %s", name, e.line, e.host, reason(err)))
		}
		for _, a := range addrs {
			nets = append(nets, single(a))
		}
	}
	l.add(nets...)
	return unresolved, nil
}

// reason is the part of a resolver's error that does not repeat the name.
func reason(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err
	}
	return err.Error()
}

// Contains reports whether a is never to be banned. An IPv4-mapped IPv6
// address is the IPv4 address; a zone does not matter.
func (l *List) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	i := l.after(a)
	return i > 0 && l.nets[i-1].Contains(a)
}

// Overlaps reports whether some address in p is never to be banned.
func (l *List) Overlaps(p netip.Prefix) bool {
	p = canonical(p)
	// The networks are disjoint: only the last that starts at or before p can
	// cover it, and if any lies inside p, then the next one does.
	i := l.after(p.Addr())
	return i > 0 && l.nets[i-1].Overlaps(p) ||
		i < len(l.nets) && l.nets[i].Overlaps(p)
}

// after is the index of the first network that starts after a.
func (l *List) after(a netip.Addr) int {
	i, _ := slices.BinarySearchFunc(l.nets, a, func(n netip.Prefix, a netip.Addr) int {
		if n.Addr().Compare(a) <= 0 {
			return -1
		}
		return 1
	})
	return i
}

// add puts canonical prefixes into the list and keeps it sorted and disjoint.
func (l *List) add(nets ...netip.Prefix) {
	all := append(l.nets, nets...)
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	// Two prefixes are disjoint or one holds the other, and the wider of them
	// now comes first.
	l.nets = all[:0]
	for _, n := range all {
		if k := len(l.nets); k == 0 || !l.nets[k-1].Contains(n.Addr()) {
			l.nets = append(l.nets, n)
		}
	}
}

// single is the prefix that holds a alone.
func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// canonical masks p, and makes an IPv4 prefix of an IPv4-mapped one.
func canonical(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
