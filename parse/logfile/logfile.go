// Package logfile reads logs: plain or compressed, together with those that
// they were rotated to, in pieces of whole lines that are parsed side by side,
// and several logs as one stream in the order of time.
//
// A log is read to the end that it has when the end is met. A line that is
// being written at that moment is seen half or not at all; the next run sees
// it whole.
package logfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"iter"
	"os"
	"runtime"
	"slices"
	"time"

	"ban_smtpd/parse"
)

// Parser makes a parser for the lines of a file.
type Parser func(*File) *parse.Parser

// Set is the logs of one run.
type Set struct {
	logs   [][]*File // each with the files before it, the oldest first
	parser Parser
	fail   func(error)
}

// Open opens the logs of these names; "-" is stdin. If back is not zero, also
// the rotated ones as far as that time needs them. A file is read once,
// however many names lead to it. What cannot be read is left out, and fail is
// called with the reason.
func Open(names []string, stdin io.Reader, back time.Time, parser Parser, fail func(error)) *Set {
	s := &Set{parser: parser, fail: fail}
	for _, name := range names {
		var files []*File
		var err error
		switch {
		case name == "-":
			files = []*File{{Name: "stdin", in: stdin}}
		case back.IsZero():
			var f *File
			f, err = openFile(name)
			files = []*File{f}
		default:
			files, err = follow(name, back.Unix(), parser)
		}
		if err != nil {
			fail(err)
			continue
		}
		s.logs = append(s.logs, slices.DeleteFunc(files, s.has))
	}
	return s
}

// has closes a file that the set has already.
func (s *Set) has(f *File) bool {
	for _, g := range s.Files() {
		if f.info != nil && g.info != nil && os.SameFile(f.info, g.info) {
			f.Close()
			return true
		}
	}
	return false
}

// Files returns all files.
func (s *Set) Files() []*File { return slices.Concat(s.logs...) }

// Logs returns the files of each log, the oldest first.
func (s *Set) Logs() [][]*File { return s.logs }

// Close closes them.
func (s *Set) Close() { closeAll(s.Files()) }

// File is an open log.
type File struct {
	Name     string
	Modified time.Time // when it was last written to; zero for standard input
	Begins   int64     // when, by its first stamp, in seconds since 1970; 0 if that is not known

	in         io.Reader
	info       os.FileInfo // nil for standard input
	err        error       // why it cannot be read
	compressed bool
	head       []byte // the beginning of its text
	latest     int64  // a stamp in it, the latest that was seen; 0 if none was
	age        int    // by its name

	// What follows is the reader's.
	source source   // nil until its first piece is read
	busy   bool     // somebody reads the next piece
	ended  bool     // there are no more than those in pieces
	broken bool     // an error was met: what is after that is not used
	pieces []*piece // that are read and not used yet, or being read
	kept   int      // how much memory the ready ones take, in bytes
}

// openFile opens a file. One that is there but cannot be opened is returned
// too, with the error.
func openFile(name string) (*File, error) {
	f := &File{Name: name}
	file, err := os.Open(name)
	if err == nil {
		f.in = file
		f.info, err = file.Stat()
	} else if info, _ := os.Stat(name); info != nil {
		f.info = info
	}
	if f.info != nil {
		f.Modified = f.info.ModTime()
	}
	f.err = err
	return f, err
}

// Close closes it.
func (f *File) Close() {
	if c, ok := f.in.(*os.File); ok && f.info != nil {
		c.Close()
	}
}

// regular says whether the file can be read from the beginning again.
func (f *File) regular() bool { return f.info != nil && f.info.Mode().IsRegular() }

// start returns the text from the beginning. A log compressed by gzip(1) or
// bzip2(1), as newsyslog(8) leaves them, is known by its first bytes.
func (f *File) start() (*bufio.Reader, error) {
	if f.err != nil {
		return nil, f.err
	}
	if file, ok := f.in.(*os.File); ok && f.regular() {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	b := bufio.NewReader(f.in)
	magic, err := b.Peek(6)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		f.compressed = true
		z, err := gzip.NewReader(b)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return bufio.NewReader(bytes.NewReader(nil)), nil // gzip(1) has just begun to write it
		}
		return bufio.NewReader(z), err
	case bytes.HasPrefix(magic, []byte("BZh")):
		f.compressed = true
		return bufio.NewReader(bzip2.NewReader(b)), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ")), bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		return nil, errors.New("compressed by neither gzip nor bzip2")
	}
	return b, nil
}

// Totals says how much was read.
type Totals struct {
	Lines   int
	Skipped int // lines without a syslog header, or longer than parse.MaxLine
}

// Events yields the events of all logs, each log in its own order and the logs
// side by side in the order of time, so that a window in time can slide over
// them. They come in pieces that are valid until the next. A file that can be
// read no further is left there, and fail is called with the reason.
func (s *Set) Events(total *Totals) iter.Seq[[]parse.Event] {
	return func(yield func([]parse.Event) bool) {
		r := newReader(s.logs, chunkSize, min(runtime.GOMAXPROCS(0), maxWorkers), s.parser)
		defer r.leave()
		w := r.newWorker()
		var open []*merging
		for _, l := range r.logs {
			in := &merging{total: total, next: func() *parse.Chunk { return s.next(r, l, w) }}
			if in.advance() {
				open = append(open, in)
			}
		}
		for len(open) > 0 {
			first := 0
			for i := range open {
				if open[i].events[0].Time < open[first].events[0].Time {
					first = i
				}
			}
			in := open[first]
			n := in.before(open, first)
			if !yield(in.events[:n]) {
				return
			}
			in.events = in.events[n:]
			if len(in.events) == 0 && !in.advance() {
				open = append(open[:first], open[first+1:]...)
			}
		}
	}
}

// before returns how many events of a stream, which is the one with this number
// and has the first of all, come before those of the others. Events of the same
// time are in the order of the streams.
func (s *merging) before(all []*merging, number int) int {
	n := len(s.events)
	for i, other := range all {
		for k := 0; k < n && i != number; k++ {
			if t := other.events[0].Time; s.events[k].Time > t || s.events[k].Time == t && i < number {
				n = k
			}
		}
	}
	return n
}

// next returns what is next in a log, nil at the end.
func (s *Set) next(r *reader, l *log, w *worker) *parse.Chunk {
	f, p := r.next(l, w)
	if p == nil {
		return nil
	}
	if p.err != nil {
		s.failed(f, p.err)
	}
	return p.chunk
}

// failed names the file of an error that does not.
func (s *Set) failed(f *File, err error) {
	var path *os.PathError
	if !errors.As(err, &path) {
		err = &os.PathError{Op: "read", Path: f.Name, Err: err}
	}
	s.fail(err)
}

// merging is a log in the making of one stream of several.
type merging struct {
	next   func() *parse.Chunk // nil at the end
	events []parse.Event
	end    parse.End // of the chunk before
	total  *Totals
}

// advance goes to the next chunk that has events, and is false at the end.
func (s *merging) advance() bool {
	for {
		c := s.next()
		if c == nil {
			return false
		}
		s.end = parse.Resolve(c, s.end)
		s.total.Lines += c.Lines
		s.total.Skipped += c.Skipped
		if len(c.Events) > 0 {
			s.events = c.Events
			return true
		}
	}
}
