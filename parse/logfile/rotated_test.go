package logfile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ban_smtpd/parse"
)

// day returns a line of that day of November.
func day(d, n int) string {
	return fmt.Sprintf("Nov %2d 10:00:00 mail smtpd[1]: 3c41a8f5b2d901f3 smtp connected address=203.0.113.%d host=x\n", d, n)
}

func zip(text string) string {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, text)
	w.Close()
	return z.String()
}

func TestRotated(t *testing.T) {
	long := strings.Repeat(day(19, 2), 200)
	corrupt := []byte(zip(long))
	corrupt[10] = 0xff // no such type of block
	flushed := zip(long)
	back := time.Date(2026, 11, 18, 10, 30, 0, 0, time.UTC)
	tests := []struct {
		name  string
		files map[string]string // by suffix
		want  string            // the last byte of the address in each line, equal ones once
		fails string            // what the error has in it
	}{
		{"none", map[string]string{"": day(21, 1)}, "1", ""},
		{"newsyslog", map[string]string{"": day(21, 1), ".0.gz": zip(day(20, 2)), ".1.gz": zip(day(19, 3)), ".2.gz": zip(day(18, 4)), ".3.gz": zip(day(17, 5))}, "4 3 2 1", ""},
		{"logrotate", map[string]string{"": day(21, 1), ".1": day(20, 2), ".2.gz": zip(day(19, 3)), ".10.gz": zip(day(18, 4)), ".11.gz": zip(day(17, 5))}, "4 3 2 1", ""},
		{"dates", map[string]string{"": day(21, 1), "-20261121": day(20, 2), "-20261120.gz": zip(day(19, 3)), "-20261119.gz": zip(day(18, 4))}, "4 3 2 1", ""},
		{"times", map[string]string{"": day(21, 1), ".20261121T000000": day(20, 2), ".20261120T000000.gz": zip(day(18, 3))}, "3 2 1", ""},
		{"far enough", map[string]string{"": day(18, 1), ".0": day(17, 2)}, "1", ""},
		{"the stamps, not the names", map[string]string{"": day(21, 1), ".0.gz": zip(day(2, 9)), ".1": day(20, 2), ".2.gz": zip(day(18, 3))}, "3 2 1", ""},
		{"a clock set back", map[string]string{"": day(21, 1), ".0": strings.Replace(day(20, 2), "10:00", "09:00", 1), ".1": day(20, 3), ".2": day(18, 4)}, "4 3 2 1", ""},
		{"a log that begins before the clock was set", map[string]string{"": strings.Replace(day(21, 1), "Nov 21", "Jan  1", 1) + day(21, 1), ".0": day(20, 2)}, "2 1", ""},
		{"both", map[string]string{"": day(21, 1), ".0": long, ".0.gz": zip(long), ".1.gz": zip(day(18, 3))}, "3 2 1", ""},
		{"both, one half written", map[string]string{"": day(21, 1), ".0": long, ".0.gz": flushed[:len(flushed)-9], ".1.gz": zip(day(18, 3))}, "3 2 1", ""},
		{"half written", map[string]string{"": day(21, 1), ".0.gz": flushed[:len(flushed)-9]}, "2 1", ""},
		{"just begun", map[string]string{"": day(21, 1), ".0.gz": zip(long)[:3], ".1": day(20, 3)}, "3 1", ""},
		{"corrupt", map[string]string{"": day(21, 1), ".0.gz": string(corrupt), ".1.gz": zip(day(18, 3))}, "3 1", "log.0.gz: flate: corrupt"},
		{"corrupt, not needed", map[string]string{"": day(18, 1), ".0.gz": string(corrupt), ".1.gz": string(corrupt)}, "1", ""},
		{"unknown compression", map[string]string{"": day(21, 1), ".0.zst": "\x28\xb5\x2f\xfd....", ".1.gz": zip(day(18, 3))}, "3 1", "log.0.zst: compressed by neither"},
		{"syslogd writes to the old one", map[string]string{"": "", ".0": day(20, 2) + day(21, 1)}, "2 1", ""},
		{"syslogd writes to both", map[string]string{"": day(18, 1), ".0": day(17, 2) + day(21, 3)}, "2 3 1", ""},
		{"empty ones", map[string]string{"": "", ".0": "", ".1": day(20, 2)}, "2", ""},
		{"all empty", map[string]string{"": "", ".0": ""}, "", ""},
		{"without stamps", map[string]string{"": day(21, 1), ".0": "x\n", ".1": day(18, 3)}, "3 1", ""},
		{"others", map[string]string{"": day(21, 1), ".old": day(20, 9), ".0.txt": day(20, 9), "2.0": day(20, 9), ".x": day(20, 9), ".0.gz.tmp": day(20, 9)}, "1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "log")
			for suffix, text := range tt.files {
				if err := os.WriteFile(name+suffix, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			list, _, errs := events(t, back, nil, name)
			got := strings.Trim(fmt.Sprint(slices.Compact(list)), "[]")
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if fmt.Sprint(errs) == "[]" != (tt.fails == "") || !strings.Contains(fmt.Sprint(errs), tt.fails) {
				t.Errorf("got errors %v, want %q", errs, tt.fails)
			}
		})
	}
}

// Two names of one file, by whatever way, are one log.
func TestNamedTwice(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for suffix, text := range map[string]string{"": day(21, 1), ".0": day(20, 2)} {
		if err := os.WriteFile(name+suffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(name+".0", name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, name+"2"); err != nil {
		t.Fatal(err)
	}
	got, _, errs := events(t, time.Unix(1, 0), nil, name, name+".0", name+"2", name)
	if !slices.Equal(got, []byte{2, 1}) || len(errs) > 0 {
		t.Errorf("got %v, %v; want each line once", got, errs)
	}
}

func TestMissing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name+".0", []byte(day(20, 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, errs := events(t, time.Unix(1, 0), nil, name)
	if len(got) > 0 || len(errs) != 1 || errs[0].Error() != "open "+name+": no such file or directory" {
		t.Errorf("got %v, %v", got, errs)
	}
}

// While newsyslog(8) rotates as fast as it can, every read finds all lines that
// were there when it began, each once and in order.
func TestRotatedWhileOpened(t *testing.T) {
	const rotations = 60
	name := filepath.Join(t.TempDir(), "log")
	text := func(n int) []byte {
		a := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		return fmt.Appendf(nil, "Nov 20 10:%02d:%02d mail smtpd[1]: 3c41a8f5b2d901f3 smtp connected address=%v host=x\n", n/60, n%60, a)
	}
	if err := os.WriteFile(name, text(0), 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan int, rotations)
	go func() {
		defer close(written)
		for n := 1; n < rotations; n++ {
			for i := n - 2; i >= 0; i-- {
				os.Rename(fmt.Sprint(name, ".", i), fmt.Sprint(name, ".", i+1))
			}
			os.Rename(name, name+".0")
			os.WriteFile(name, text(n), 0o600)
			written <- n
		}
	}()
	reads := 0
	for least := range written {
		s := Open([]string{name}, nil, time.Unix(1, 0), func(*File) *parse.Parser { return newParser() }, func(err error) { t.Error(err) })
		var total Totals
		n := 0
		for events := range s.Events(&total) {
			for _, e := range events {
				if a := e.Addr.As4(); int(a[2])<<8+int(a[3]) != n {
					t.Fatalf("got line %v, want %d", a, n)
				}
				n++
			}
		}
		s.Close()
		if n <= least {
			t.Fatalf("got %d lines, want more than %d", n, least)
		}
		reads++
	}
	t.Logf("%d reads", reads)
}
