package logfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"ban_smtpd/parse"
)

func newParser() *parse.Parser {
	return parse.NewParser(time.UTC, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), parse.Classes{})
}

// flat lists the events of a log, read in pieces of size.
func flat(t *testing.T, in source, size, workers int) (list []string, lines, skipped int) {
	t.Helper()
	r := newReader([][]*File{{{source: in}}}, size, workers, func(*File) *parse.Parser { return newParser() })
	defer r.leave()
	var end parse.End
	for w := r.newWorker(); ; {
		_, p := r.next(r.logs[0], w)
		if p == nil {
			break
		}
		if p.err != nil {
			t.Fatal(p.err)
		}
		end = parse.Resolve(p.chunk, end)
		for _, e := range p.chunk.Events {
			list = append(list, text(e))
		}
		lines += p.chunk.Lines
		skipped += p.chunk.Skipped
	}
	return list, lines, skipped
}

func text(e parse.Event) string {
	return fmt.Sprint(e.Kind, e.Class, e.Count, e.Each, e.Time, e.Session, e.Addr, string(e.User))
}

// Whatever the size of the pieces and the number of workers, a log says the
// same, whether it can be read at any place or only from the beginning.
func TestChunkSize(t *testing.T) {
	names, _ := filepath.Glob("../../regress/*.in")
	var all []byte
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, text...), '\n')
		if i == 3 || i == 5 {
			all = append(all, strings.Repeat("x", 3*chunkSize+i)+"\n"...)
		}
	}
	all = append(bytes.Repeat(all, 1+3*chunkSize/len(all)), "Nov 20 10:00:00 mail smtpd[1]: the end"...)
	var c parse.Chunk
	newParser().Parse(all, &c)
	parse.Resolve(&c, parse.End{})
	var want []string
	for _, e := range c.Events {
		want = append(want, text(e))
	}
	check := func(workers, size int, what string, in source) {
		got, lines, skipped := flat(t, in, size, workers)
		if lines != c.Lines || skipped != c.Skipped || !slices.Equal(got, want) {
			t.Errorf("%d workers, %s, size %d: got %d lines, %d skipped, %d events; want %d, %d, %d",
				workers, what, size, lines, skipped, len(got), c.Lines, c.Skipped, len(want))
		}
	}
	for _, workers := range []int{1, 2, 3, 8} {
		for _, size := range []int{101, 1000, 4096, 2 * parse.MaxLine, chunkSize, len(all) - 1, len(all), 2 * len(all)} {
			check(workers, size, "file", &file{r: bytes.NewReader(all), size: int64(len(all))})
		}
		for _, size := range []int{2 * parse.MaxLine, 2*parse.MaxLine + 4099, chunkSize, 2 * len(all)} {
			check(workers, size, "stream", &stream{r: bytes.NewReader(all)})
			check(workers, size, "slow stream", &stream{r: iotest.HalfReader(bytes.NewReader(all))})
		}
	}
}

const connect = "Nov 20 %s mail smtpd[1]: 3c41a8f5b2d901f3 smtp connected address=203.0.113.%d host=x\n"

func line(clock string, n int) string { return fmt.Sprintf(connect, clock, n) }

// Several compressed files are read at once, and yet in order, whether they are
// logs of their own or one that was rotated; more than is kept of one whose turn has
// not come. Who stops early, stops all of it.
func TestAhead(t *testing.T) {
	user := strings.Repeat("x", 200)
	log := filepath.Join(t.TempDir(), "log")
	names := []string{log + ".3.gz", log + ".2.gz", log + ".1.gz", log + ".0.gz", log}
	var want []byte
	for i, name := range names {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		for range maxAhead / len(user) {
			fmt.Fprintf(w, "Nov 20 1%d:00:00 mail smtpd[1]: 3c41a8f5b2d901f3 smtp authentication user=%s address=203.0.113.%d host=x result=permfail\n",
				i, user, i)
			want = append(want, byte(i))
		}
		w.Close()
		if err := os.WriteFile(name, z.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for range 3 {
		got, total, errs := events(t, time.Time{}, nil, names...)
		if !slices.Equal(got, want) || len(errs) > 0 || total.Lines != len(want) {
			t.Errorf("logs: got %d events, %d lines, %v; want %d", len(got), total.Lines, errs, len(want))
		}
		got, total, errs = events(t, time.Unix(1, 0), nil, log)
		if !slices.Equal(got, want) || len(errs) > 0 || total.Lines != len(want) {
			t.Errorf("rotated: got %d events, %d lines, %v; want %d", len(got), total.Lines, errs, len(want))
		}
	}
	before := runtime.NumGoroutine()
	s := Open(names, nil, time.Time{}, func(*File) *parse.Parser { return newParser() }, nil)
	var total Totals
	for range s.Events(&total) {
		break
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i > 1000 {
			t.Fatalf("%d goroutines more than before", runtime.NumGoroutine()-before)
		}
		time.Sleep(time.Millisecond)
	}
	s.Close()
}

// A line of any length is skipped, and the lines around it are read.
func TestLongLines(t *testing.T) {
	for _, n := range []int{parse.MaxLine - 10, parse.MaxLine + 1, chunkSize, 3*chunkSize + 7} {
		long := "Nov 20 10:00:00 mail smtpd[1]: " + strings.Repeat("x", n) + "\n"
		got, lines, skipped := flat(t, &stream{r: strings.NewReader(line("10:00:00", 1) + long + line("10:00:01", 2))}, chunkSize, 2)
		if len(got) != 2 || lines != 3 || skipped != 1 {
			t.Errorf("%d bytes: got %d events, %d lines, %d skipped; want 2, 3, 1", n, len(got), lines, skipped)
		}
	}
}

// write writes content to a file and returns its name.
func write(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "maillog")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// events lists the last byte of the address of each event.
func events(t *testing.T, back time.Time, stdin io.Reader, names ...string) (list []byte, total Totals, errs []error) {
	t.Helper()
	s := Open(names, stdin, back, func(*File) *parse.Parser { return newParser() }, func(err error) { errs = append(errs, err) })
	defer s.Close()
	for events := range s.Events(&total) {
		for _, e := range events {
			a := e.Addr.As4()
			list = append(list, a[3])
		}
	}
	return list, total, errs
}

func TestCompressed(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	for range 1000 {
		io.WriteString(w, line("10:00:00", 1))
	}
	w.Close()
	bzip2, err := os.ReadFile("testdata/connect.bz2") // one such line
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(z.Bytes())
	broken[len(broken)/2] ^= 0xff
	tests := []struct {
		name     string
		content  []byte
		min, max int
		failed   bool
	}{
		{"gzip", z.Bytes(), 1000, 1000, false},
		{"bzip2", bzip2, 1, 1, false},
		{"gzip, still being written", z.Bytes()[:z.Len()/2], 1, 999, false},
		{"gzip, just begun", z.Bytes()[:3], 0, 0, false},
		{"gzip, broken", broken, 0, 1000, true},
		{"empty", nil, 0, 0, false},
		{"one byte", []byte("N"), 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := write(t, tt.content)
			got, _, errs := events(t, time.Time{}, nil, name)
			if len(got) < tt.min || len(got) > tt.max || (len(errs) > 0) != tt.failed {
				t.Errorf("got %d events, errors %v; want %d to %d, failed %v", len(got), errs, tt.min, tt.max, tt.failed)
			}
			for _, err := range errs {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("error does not name the file: %v", err)
				}
			}
		})
	}
}

func TestOrder(t *testing.T) {
	a := write(t, []byte(line("10:00:00", 1)+line("10:00:10", 3)+line("10:00:05", 4)+line("10:00:30", 6)))
	b := write(t, []byte(line("10:00:05", 2)+line("10:00:20", 5)+line("10:00:40", 7)))
	got, total, errs := events(t, time.Time{}, nil, b, a, write(t, nil), a)
	if want := []byte{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(got, want) || len(errs) > 0 || total.Lines != 7 {
		t.Errorf("got %v, %d lines, %v; want %v", got, total.Lines, errs, want)
	}
}

func TestReadError(t *testing.T) {
	in := io.MultiReader(strings.NewReader(line("10:00:00", 1)), iotest.ErrReader(errors.New("input/output error")))
	got, _, errs := events(t, time.Time{}, in, "-")
	if !slices.Equal(got, []byte{1}) || len(errs) != 1 || errs[0].Error() != "read stdin: input/output error" {
		t.Errorf("got %v, %v; want one event and the error", got, errs)
	}
}

// brokenAt is a file of which nothing can be read from some place on, for once.
type brokenAt struct {
	io.ReaderAt
	at int64
}

func (b *brokenAt) ReadAt(p []byte, at int64) (int, error) {
	if at <= b.at && b.at < at+int64(len(p)) {
		return 0, errors.New("input/output error")
	}
	return b.ReaderAt.ReadAt(p, at)
}

// After an error no more of a file is used, whoever has read it already.
func TestBroken(t *testing.T) {
	text := strings.Repeat(line("10:00:00", 1), 3000)
	r := newReader([][]*File{{{source: &file{r: &brokenAt{strings.NewReader(text), 100_000}, size: int64(len(text))}}}}, 10_000, 3,
		func(*File) *parse.Parser { return newParser() })
	defer r.leave()
	pieces, errs := 0, 0
	for w := r.newWorker(); ; pieces++ {
		_, p := r.next(r.logs[0], w)
		if p == nil {
			break
		}
		if p.err != nil {
			errs++
		}
	}
	if pieces != 10 || errs != 1 {
		t.Errorf("got %d pieces, %d errors; want 10, the last of them with the error", pieces, errs)
	}
}

func TestStop(t *testing.T) {
	s := Open([]string{"-"}, strings.NewReader(strings.Repeat(line("10:00:00", 1), 20000)), time.Time{},
		func(*File) *parse.Parser { return newParser() }, nil)
	var total Totals
	for range s.Events(&total) {
		break
	}
	if total.Lines == 0 || total.Lines >= 20000 {
		t.Errorf("read %d lines of 20000, want some", total.Lines)
	}
}

func BenchmarkEvents(b *testing.B) {
	text := []byte(strings.Repeat(line("10:00:00", 1), 100_000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var total Totals
		s := Open([]string{"-"}, bytes.NewReader(text), time.Time{}, func(*File) *parse.Parser { return newParser() }, nil)
		for range s.Events(&total) {
		}
	}
}
