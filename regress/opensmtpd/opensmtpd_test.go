// Package opensmtpd_test attacks a real OpenSMTPD and checks what ban_smtpd
// makes of its log.
//
// TestAttack needs Linux, root and a Debian that recorded/root.sh makes: there over two
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
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ban_smtpd/regress/recorded"
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
	over := strings.Fields(string(recorded.Read(t, base+".over")))
	at := recorded.End(t, base+".iso.log")
	program := recorded.Build(t)
	for _, log := range []string{base + ".log", base + ".iso.log"} {
		// One failure is over a limit of 0, so that nothing is forgiven.
		out := recorded.Run(t, program, at, log, "-T", "0", "--prefix6", "128", "-o", "logfmt")
		recorded.Compare(t, log, recorded.Failures(t, out), want)

		// The clients of one IPv6 /64 are one client, unless told otherwise.
		out = recorded.Run(t, program, at, log, "-T", "0", "-o", "logfmt")
		recorded.Compare(t, log+" by /64", recorded.Failures(t, out), by64(want))

		out = recorded.Run(t, program, at, log, "-T", strconv.Itoa(tries), "--prefix6", "128", "-o", "list")
		recorded.Compare(t, log+" over the limit", set(strings.Fields(out)), set(over))
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
	for line := range strings.Lines(string(recorded.Read(t, file))) {
		var addr string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &addr, &n); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		counts[addr] = n
	}
	return counts
}
