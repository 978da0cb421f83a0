package logfile

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"ban_smtpd/parse"
)

// source is what a file is read from, in pieces of whole lines.
type source interface {
	// next says what fills the next piece, of which buf is the buffer: with
	// its text, and io.EOF if it is the last one. It is called by one at a
	// time, what it returns is not.
	next(buf []byte) (read func() ([]byte, error), last bool)
}

// file is a plain log, of which each piece can be read without those before.
type file struct {
	r    io.ReaderAt
	size int64 // of the file, when it was opened: what is added is for the next run
	at   int64
}

// tail is how much more is read, in bytes, to find the end of the last line, and
// room how much there is room for: syslogd(8) cuts lines at 8,192.
const (
	tail = 4 << 10
	room = 16 << 10
)

func (f *file) next(buf []byte) (read func() ([]byte, error), last bool) {
	begin, size := f.at, int64(cap(buf)-room)
	f.at += size
	return func() ([]byte, error) { return f.lines(buf, begin, size) }, f.at >= f.size
}

// lines returns the lines that begin in a part of the file.
func (f *file) lines(buf []byte, begin, size int64) ([]byte, error) {
	// The byte before says whether a line begins with the first.
	first := max(0, begin-1)
	buf, err := f.read(buf[:0], first, min(begin+size+tail-1, f.size))
	skip := 0
	if begin > 0 {
		if skip = bytes.IndexByte(buf, '\n') + 1; skip == 0 {
			skip = len(buf)
		}
	}
	if int64(skip) > begin+size-first {
		return buf[:0], err // a line that goes on beyond
	}
	// The last line ends with the first newline that is not before the last byte.
	inside := int(begin + size - 1 - first)
	if len(buf) <= inside || err != nil {
		return buf[skip:], err
	}
	end := bytes.IndexByte(buf[inside:], '\n')
	for _, more := range []int64{room - 1, parse.MaxLine} {
		if end < 0 && err == nil {
			buf, err = f.read(buf, first+int64(len(buf)), min(begin+size+more, f.size))
			end = bytes.IndexByte(buf[inside:], '\n')
		}
	}
	if end < 0 {
		return buf[skip:], err // the file ends, or the line is too long anyway
	}
	return buf[skip : inside+end+1], err
}

// read appends what is in the file from begin to end. It is shorter if the file
// was truncated meanwhile.
func (f *file) read(buf []byte, begin, end int64) ([]byte, error) {
	n := int(max(0, end-begin))
	buf = slices.Grow(buf, n)
	n, err := f.r.ReadAt(buf[len(buf):len(buf)+n], begin)
	if err == io.EOF {
		err = nil
	}
	return buf[:len(buf)+n], err
}

// stream is a log that can only be read from the beginning to the end.
type stream struct {
	r    io.Reader
	rest []byte // the beginning of the next line
}

func (s *stream) next(buf []byte) (read func() ([]byte, error), last bool) {
	text, err := s.lines(buf[: 0 : cap(buf)-tail])
	return func() ([]byte, error) { return text, err }, err != nil
}

// lines fills buf up to its capacity. The text that it returns with an error
// may end without a newline. Of a line that fills buf the middle is left out;
// it is longer than parse.MaxLine either way, and so skipped.
func (s *stream) lines(buf []byte) ([]byte, error) {
	buf = append(buf, s.rest...)
	s.rest = s.rest[:0]
	for {
		n, err := io.ReadFull(s.r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // also of a compressed file that is still being written
		}
		if err != nil {
			return buf, err
		}
		if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
			s.rest = append(s.rest, buf[i+1:]...)
			return buf[:i+1], nil
		}
		buf = buf[:parse.MaxLine+1]
	}
}
