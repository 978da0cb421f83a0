//go:build openbsd || freebsd

package pftable

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// The real pfctl, on a table of its own, which is killed at the end.
func TestRealPfctl(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	table := &Table{Pfctl: "/sbin/pfctl", Name: "ban_smtpd_test"}
	kill := func() { exec.Command(table.Pfctl, "-q", "-t", table.Name, "-T", "kill").Run() }
	kill()
	t.Cleanup(kill)
	list := prefixes("192.0.2.1", "198.51.100.0/24", "2001:db8::/64")
	if n, err := table.Add(list); n != 3 || err != nil {
		t.Fatalf("add: got %d, %v; want 3", n, err)
	}
	entries, err := table.Show()
	if len(entries) != 3 || err != nil {
		t.Fatalf("show: got %v, %v; want 3 entries", entries, err)
	}
	for _, e := range entries {
		if age := time.Since(e.Since); age < -time.Minute || age > time.Minute {
			t.Errorf("%v is since %v, want now", e.Prefix, e.Since)
		}
	}
	if room, err := table.Room(); room <= 0 || err != nil {
		t.Errorf("room: got %d, %v; want some", room, err)
	}
	if err := table.Kill(list[0]); err != nil {
		t.Errorf("kill: %v", err)
	}
	if err := table.Check(); err == nil {
		t.Error("check: got nil, but no rule uses the table")
	}
	if n, err := table.Expire(time.Hour); n != 0 || err != nil {
		t.Errorf("expire: got %d, %v; want 0", n, err)
	}
	if n, err := table.Delete(list); n != 3 || err != nil {
		t.Errorf("delete: got %d, %v; want 3", n, err)
	}
}
