// Package recorded helps the tests that compare what ban_smtpd makes of a log of
// real daemons with what their clients know that they did.
package recorded

import (
	"bytes"
	"compress/gzip"
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

// Build builds ban_smtpd and returns its path.
func Build(t *testing.T) string {
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

// Run returns what a dry run prints of all that is in the log. The log was
// written at another time, perhaps years ago, so the judgement is as of its
// End and no ban expires. There is no pf.
func Run(t *testing.T, program, at, log string, args ...string) string {
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

// End returns the second after the last line of a log with RFC 3339 stamps.
func End(t *testing.T, log string) string {
	t.Helper()
	text := bytes.TrimSuffix(Read(t, log), []byte("\n"))
	stamp, _, _ := strings.Cut(string(text[bytes.LastIndexByte(text, '\n')+1:]), " ")
	last, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		t.Fatalf("%s: last line: %v", log, err)
	}
	return last.Add(time.Second).Format(time.RFC3339)
}

// Failures reads lines such as
//
//	ban address=198.51.100.7 failures=3 users=2 first=… last=…
func Failures(t *testing.T, out string) map[string]int {
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

// Compare reports every client whose count is not what it should be.
func Compare(t *testing.T, what string, got, want map[string]int) {
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

// Read returns the content of a file, which is unzipped if its name ends in .gz.
func Read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(file, ".gz") {
		return text
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if text, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return text
}
