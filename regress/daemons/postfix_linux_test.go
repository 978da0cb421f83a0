package daemons_test

import "net/netip"

// A stand-in, until postfix has clients.
var postfix = daemon{
	name:   "postfix",
	addrs:  func() []netip.Addr { return nil },
	start:  func(*machine) error { return nil },
	attack: func(*machine) ([]outcome, error) { return nil, nil },
	stop:   func(*machine) error { return nil },
}
