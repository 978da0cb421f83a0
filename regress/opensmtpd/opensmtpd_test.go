// Package opensmtpd_test attacks a real OpenSMTPD and checks what ban_smtpd
// makes of its log.
//
// TestAttack needs Linux, root and a Debian that root.sh makes: there over two
// hundred clients try to log in, and to deceive whoever reads the log. Each
// client writes down how often it was refused, and that is the truth which the
// counts have to match. TestRecorded needs nothing: it does the same with the
// log and the truth that an earlier attack left in testdata. It was written
// there by
//
//	BAN_SMTPD_UPDATE=1 go test ./regress/opensmtpd
//
// What counts as a failure is what the client was told: a reply of 535 to an
// AUTH. OpenSMTPD sends it if and only if it has checked complete credentials
// and they were wrong; it logs result=permfail then, and nothing of the kind
// for an AUTH that was cancelled, malformed or not offered. Only a client that
// does not wait for the reply has to know it beforehand.
package opensmtpd_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tries is the limit of which NAME.over tells; it is ban_smtpd's default.
const tries = 10

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

// check compares what ban_smtpd makes of a log with the truth about it:
//
//	BASE.log      the log with stamps such as Nov 21 00:16:35, in UTC
//	BASE.iso.log  the same, with RFC 3339 stamps
//	BASE.truth    ADDRESS FAILURES, of each client that was refused
//	BASE.over     ADDRESS, of each with more than 10 failures not forgiven
func check(t *testing.T, base string) {
	want := readTruth(t, base+".truth")
	over := strings.Fields(string(read(t, base+".over")))
	at := end(t, base+".iso.log")
	program := build(t)
	for _, log := range []string{base + ".log", base + ".iso.log"} {
		// One failure is over a limit of 0, so that nothing is forgiven.
		out := run(t, program, at, log, "-T", "0", "--prefix6", "128", "-o", "logfmt")
		compare(t, log, failures(t, out), want)

		// The clients of one IPv6 /64 are one client, unless told otherwise.
		out = run(t, program, at, log, "-T", "0", "-o", "logfmt")
		compare(t, log+" by /64", failures(t, out), by64(want))

		out = run(t, program, at, log, "-T", strconv.Itoa(tries), "--prefix6", "128", "-o", "list")
		compare(t, log+" over the limit", set(strings.Fields(out)), set(over))
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
	args = append([]string{"-n", "-w", "0", "-i", os.DevNull, "-e", "5000w", "--at", at,
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
	text := bytes.TrimSuffix(read(t, log), []byte("\n"))
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

// by64 sums up the clients of each IPv6 /64.
func by64(counts map[string]int) map[string]int {
	sums := map[string]int{}
	for addr, n := range counts {
		if a := netip.MustParseAddr(addr); a.Is6() {
			addr = netip.PrefixFrom(a, 64).Masked().String()
		}
		sums[addr] += n
	}
	return sums
}

// set counts how often each word is in the list.
func set(list []string) map[string]int {
	m := map[string]int{}
	for _, word := range list {
		m[word]++
	}
	return m
}

func readTruth(t *testing.T, file string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(string(read(t, file))) {
		var addr string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &addr, &n); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		counts[addr] = n
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
