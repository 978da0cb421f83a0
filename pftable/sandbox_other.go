//go:build !openbsd

package pftable

// Sandbox does nothing here. OpenBSD has pledge(2) and unveil(2); FreeBSD's
// capsicum(4) has no way to run pfctl afterwards.
func Sandbox(pfctl string, logs []string) error { return nil }
