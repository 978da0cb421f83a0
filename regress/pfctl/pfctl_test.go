package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build builds the stand-in and sets up a machine for it.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "pfctl")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv("PFCTL_STATE", filepath.Join(dir, "state"))
	t.Setenv("PFCTL_LOG", filepath.Join(dir, "log"))
	return program
}

// The stand-in answers as OpenBSD's pfctl was recorded to answer.
func TestVectors(t *testing.T) {
	dir := os.Getenv("PFCTL_VECTORS")
	if dir == "" {
		dir = "../../../shared/pfctl-vectors"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no vectors: %v", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	program := build(t)
	os.Unsetenv("PFCTL_LOG")
	out, err := exec.Command(python, filepath.Join(dir, "check_pfctl.py"),
		filepath.Join(dir, "pfctl-shared.jsonl"), "--", program).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// What is not in the vectors: killed states, faults, the log.
func TestBeyondVectors(t *testing.T) {
	program := build(t)
	run := func(stdin string, args ...string) (string, int) {
		cmd := exec.Command(program, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	steps := []struct {
		stdin, args, want string
		exit              int
	}{
		{"", "-s info", "Status: Enabled ", 0},
		{"", "--event pf off", "", 0},
		{"", "-s info", "Status: Disabled ", 0},
		{"", "-k 192.0.2.1", "killed 0 states from 1 sources", 0},
		{"", "-q -k 2001:db8::/64", "", 0},
		{"", "-k label", "stand-in pfctl: not known", 3},
		{"192.0.2.1\n", "-t bot -T add -f -", "1/1 addresses added.", 0},
		{"", "--event fail add 255 busy", "", 0},
		{"", "-t bot -T add 192.0.2.2", "busy\n", 255},
		{"", "-t bot -T show", "   192.0.2.1\n", 0},
		{"", "--event signal show", "", 0},
		{"", "-t bot -T show", "", -1},
		{"", "--event heal", "", 0},
		{"", "-t bot -T add 192.0.2.2", "1/1 addresses added.", 0},
		{"", "-t bot -T add self", "stand-in pfctl: not known", 3},
		{"", "-s rules", "stand-in pfctl: not known", 3},
	}
	for _, s := range steps {
		out, exit := run(s.stdin, strings.Fields(s.args)...)
		if exit != s.exit || !strings.Contains(out, s.want) {
			t.Errorf("pfctl %s: got %q, exit %d; want %q, exit %d", s.args, out, exit, s.want, s.exit)
		}
	}
	log, err := os.ReadFile(os.Getenv("PFCTL_LOG"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "-t bot -T add -f -\n\t192.0.2.1\n"; !strings.Contains(string(log), want) {
		t.Errorf("log %q, want it to have %q", log, want)
	}
	state, err := os.ReadFile(os.Getenv("PFCTL_STATE"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"Killed":["192.0.2.1","2001:db8::/64"]`; !strings.Contains(string(state), want) {
		t.Errorf("state %s, want it to have %s", state, want)
	}
}
