// Package daemons_test attacks a real Postfix, saslauthd, Dovecot and sshd, all
// at once, and checks what ban_smtpd makes of the log that they share.
//
// TestAttack needs Linux, root and a Debian that recorded/root.sh makes. Each client has
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
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ban_smtpd/regress/recorded"
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
	for line := range strings.Lines(string(recorded.Read(t, other+".truth"))) {
		var addr string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &addr, &n); err != nil {
			t.Fatalf("%s.truth: %q: not ADDRESS N: %v", other, line, err)
		}
		want[addr] += n // some have been at both
	}
	var mixed bytes.Buffer
	lines := bytes.SplitAfter(recorded.Read(t, base+".log.gz"), []byte("\n"))
	for line := range bytes.Lines(recorded.Read(t, other+".log")) {
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
	out := recorded.Run(t, recorded.Build(t), recorded.End(t, base+".iso.log.gz"), log, "-T", "0", "--prefix6", "128", "-o", "logfmt")
	recorded.Compare(t, "auth", recorded.Failures(t, out), want)
}

// check compares what ban_smtpd makes of a log with the truth about it:
//
//	BASE.log.gz      the log with stamps such as Nov 21 00:16:35, in UTC
//	BASE.iso.log.gz  the same, with RFC 3339 stamps
//	BASE.truth       ADDRESS CLASS N, of each client that did something of a class
func check(t *testing.T, base string) {
	want := readTruth(t, base+".truth")
	at := recorded.End(t, base+".iso.log.gz")
	program := recorded.Build(t)
	for _, log := range []string{base + ".log.gz", base + ".iso.log.gz"} {
		for _, class := range classes {
			// One failure is over a limit of 0, so that nothing is forgiven.
			out := recorded.Run(t, program, at, log, "-c", class, "-T", "0", "--prefix6", "128", "-o", "logfmt")
			recorded.Compare(t, filepath.Base(log)+" "+class, recorded.Failures(t, out), want[class])
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
	for line := range strings.Lines(string(recorded.Read(t, file))) {
		var addr, class string
		var n int
		if _, err := fmt.Sscanf(line, "%s %s %d\n", &addr, &class, &n); err != nil || counts[class] == nil {
			t.Fatalf("%s: %q: not ADDRESS CLASS N: %v", file, line, err)
		}
		counts[class][addr] = n
	}
	return counts
}
