// Package logfile reads logs: plain or compressed, in pieces of whole lines
// that are parsed side by side, and several logs as one stream in the order of
// time.
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
	"time"

	"ban_smtpd/parse"
)

// File is an open log.
type File struct {
	Name     string
	Modified time.Time // when it was last written to; zero for standard input
	file     *os.File
	text     io.Reader
}

// Open opens the log of that name; "-" is stdin. A log compressed by gzip(1)
// or bzip2(1), as newsyslog(8) leaves them, is known by its first bytes.
func Open(name string, stdin io.Reader) (*File, error) {
	if name == "-" {
		text, err := decompress(stdin)
		return &File{Name: "stdin", text: text}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	text, err := decompress(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{Name: name, Modified: info.ModTime(), file: f, text: text}, nil
}

// Close closes it.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(3)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(b)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return bytes.NewReader(nil), nil // gzip(1) has just begun to write it
		}
		return z, err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(b), nil
	}
	return b, nil
}

// Totals says how much was read.
type Totals struct {
	Lines   int
	Skipped int // lines without a syslog header, or longer than parse.MaxLine
}

// Events yields the events of all files, each file in its own order and the
// files side by side in the order of time, so that a window in time can slide
// over them. An event is valid until the next. A file that can be read no
// further is left there; fail is called with the reason.
func Events(files []*File, parser func(*File) *parse.Parser, total *Totals, fail func(error)) iter.Seq[*parse.Event] {
	return func(yield func(*parse.Event) bool) {
		var open []*stream
		for _, f := range files {
			next, stop := iter.Pull2(chunks(f.text, chunkSize, func() *parse.Parser { return parser(f) }))
			defer stop()
			s := &stream{name: f.Name, next: next, total: total, fail: fail}
			if s.advance() {
				open = append(open, s)
			}
		}
		for len(open) > 0 {
			first := 0
			for i := range open {
				if open[i].events[0].Time < open[first].events[0].Time {
					first = i
				}
			}
			s := open[first]
			if !yield(&s.events[0]) {
				return
			}
			s.events = s.events[1:]
			if len(s.events) == 0 && !s.advance() {
				open = append(open[:first], open[first+1:]...)
			}
		}
	}
}

// stream is a file in the making of one stream of several.
type stream struct {
	name   string
	next   func() (*parse.Chunk, error, bool)
	events []parse.Event
	end    parse.Event // of the chunk before
	total  *Totals
	fail   func(error)
}

// advance goes to the next chunk that has events, and is false at the end.
func (s *stream) advance() bool {
	for {
		c, err, ok := s.next()
		if !ok {
			return false
		}
		if err != nil {
			var path *os.PathError
			if !errors.As(err, &path) {
				err = &os.PathError{Op: "read", Path: s.name, Err: err}
			}
			s.fail(err)
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
