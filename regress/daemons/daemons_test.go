// Package daemons_test attacks a real Postfix, saslauthd, Dovecot and sshd, all
// at once, and checks what ban_smtpd makes of the log that they share.
//
// TestAttack needs Linux, root and a Debian that root.sh makes. Each client has
// an address of its own, and writes down what it was told: that is the truth
// which the counts have to match. TestRecorded needs nothing: it does the same
// with the log and the truth that an earlier attack left in testdata. It was
// written there by
//
//	BAN_SMTPD_UPDATE=1 go test ./regress/daemons
//
// The classes are
//
//	auth     complete credentials were sent, and refused as wrong
//	abort    an authentication was begun and not completed
//	harvest  a recipient was refused as unknown
//	scan     a connection got no further than the greeting
//
// What fails through the server's own fault is of no class.
package daemons_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var classes = []string{"auth", "abort", "harvest", "scan"}

func TestRecorded(t *testing.T) {
	truths, err := filepath.Glob("testdata/*.truth")
	if err != nil || len(truths) == 0 {
		t.Fatalf("no testdata/*.truth: %v", err)
	}
	for _, truth := range truths {
		base := strings.TrimSuffix(truth, ".truth")
		t.Run(filepath.Base(base), func(t *testing.T) { check(t, base) })
	}
}

// OpenSMTPD, whose attack is in ../opensmtpd, among the others: their lines, of
// one host, take turns.
func TestMixed(t *testing.T) {
	const base, other = "testdata/bookworm", "../opensmtpd/testdata/opensmtpd-7.6.0p1"
	want := readTruth(t, base+".truth")["auth"]
	for line := range strings.Lines(string(read(t, other+".truth"))) {
		var addr string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &addr, &n); err != nil {
			t.Fatalf("%s.truth: %q: not ADDRESS N: %v", other, line, err)
		}
		want[addr] += n // some have been at both
	}
	var mixed bytes.Buffer
	lines := bytes.SplitAfter(unzip(t, base+".log.gz"), []byte("\n"))
	for line := range bytes.Lines(read(t, other+".log")) {
		for range 4 {
			if len(lines) > 0 {
				mixed.Write(lines[0])
				lines = lines[1:]
			}
		}
		mixed.Write(line)
	}
	mixed.Write(bytes.Join(lines, nil))
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, mixed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, build(t), end(t, base+".iso.log.gz"), log, "-T", "0", "--prefix6", "128", "-o", "logfmt")
	compare(t, "auth", failures(t, out), want)
}

// check compares what ban_smtpd makes of a log with the truth about it:
//
//	BASE.log.gz      the log with stamps such as Nov 21 00:16:35, in UTC
//	BASE.iso.log.gz  the same, with RFC 3339 stamps
//	BASE.truth       ADDRESS CLASS N, of each client that did something of a class
func check(t *testing.T, base string) {
	want := readTruth(t, base+".truth")
	at := end(t, base+".iso.log.gz")
	program := build(t)
	for _, log := range []string{base + ".log.gz", base + ".iso.log.gz"} {
		for _, class := range classes {
			// One failure is over a limit of 0, so that nothing is forgiven.
			out := run(t, program, at, log, "-c", class, "-T", "0", "--prefix6", "128", "-o", "logfmt")
			compare(t, filepath.Base(log)+" "+class, failures(t, out), want[class])
		}
	}
}

// build builds ban_smtpd and returns its path.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ban_smtpd")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = "../.."
	// go test repeats a result until something changes that the test itself
	// has looked at. So look at the sources.
	for _, sources := range []string{"../../*.go", "../../*/*.go", "../../*/*/*.go"} {
		if _, err := filepath.Glob(sources); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return program
}

// run returns what a dry run prints of all that is in the log. The log was
// written at another time, perhaps years ago, so the judgement is as of its
// end and no ban expires. There is no pf.
func run(t *testing.T, program, at, log string, args ...string) string {
	t.Helper()
	// The daemons' own host, as it is when it runs there.
	ignored := filepath.Join(t.TempDir(), "ignored")
	if err := os.WriteFile(ignored, []byte("192.0.2.1\n2001:db8:ffff::1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-n", "-w", "0", "-i", ignored, "-e", "5000w", "--at", at,
		"--pfctl", "/nonexistent"}, append(args, log)...)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	return string(out)
}

// end returns the second after the last line of a log with RFC 3339 stamps.
func end(t *testing.T, log string) string {
	t.Helper()
	text := bytes.TrimSuffix(unzip(t, log), []byte("\n"))
	stamp, _, _ := strings.Cut(string(text[bytes.LastIndexByte(text, '\n')+1:]), " ")
	last, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		t.Fatalf("%s: last line: %v", log, err)
	}
	return last.Add(time.Second).Format(time.RFC3339)
}

// failures reads lines such as
//
//	ban address=198.51.100.7 failures=3 users=2 first=… last=…
func failures(t *testing.T, out string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "ban" || !strings.HasPrefix(f[1], "address=") || !strings.HasPrefix(f[2], "failures=") {
			t.Errorf("printed %q, want ban address=… failures=…", line)
			continue
		}
		addr := strings.TrimPrefix(f[1], "address=")
		n, err := strconv.Atoi(strings.TrimPrefix(f[2], "failures="))
		if err != nil || counts[addr] != 0 {
			t.Errorf("printed %q: not a number, or not for the first time", line)
		}
		counts[addr] = n
	}
	return counts
}

// compare reports every client whose count is not what it should be.
func compare(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for _, addr := range slices.Sorted(maps.Keys(want)) {
		if got[addr] != want[addr] {
			t.Errorf("%s: %s: got %d, want %d", what, addr, got[addr], want[addr])
		}
	}
	for _, addr := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[addr]; !ok {
			t.Errorf("%s: %s: got %d, want nothing of it", what, addr, got[addr])
		}
	}
}

// readTruth returns the counts of each address, by class.
func readTruth(t *testing.T, file string) map[string]map[string]int {
	t.Helper()
	counts := map[string]map[string]int{}
	for _, class := range classes {
		counts[class] = map[string]int{}
	}
	for line := range strings.Lines(string(read(t, file))) {
		var addr, class string
		var n int
		if _, err := fmt.Sscanf(line, "%s %s %d\n", &addr, &class, &n); err != nil || counts[class] == nil {
			t.Fatalf("%s: %q: not ADDRESS CLASS N: %v", file, line, err)
		}
		counts[class][addr] = n
	}
	return counts
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unzip(t *testing.T, file string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
