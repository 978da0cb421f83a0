package logfile

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"ban_smtpd/parse"
)

// chunkSize is how much of a log is parsed at a time, in bytes: large against
// what it costs to hand a chunk over, small against a cache.
const chunkSize = 256 << 10

// maxWorkers is how many goroutines parse a log: as many as one that counts can
// bear. Of more than maxShared logs each is read by one, as they all are open at
// once and each worker has its memory.
const (
	maxWorkers = 4
	maxShared  = 8
)

// chunks yields the text of a log in pieces of whole lines, parsed, in order. A
// chunk is valid until the next. size is at least twice parse.MaxLine.
//
// All goroutines of the program are here and in readAhead. Each reads a piece and
// parses it while it is in the cache, and so does the caller's whenever there is
// nothing to yield: there are no more of them than processors, and none waits
// while there is something to do.
func chunks(in source, size, workers int, parser func() *parse.Parser) iter.Seq2[*parse.Chunk, error] {
	return func(yield func(*parse.Chunk, error) bool) {
		n := 2*workers + 1
		if workers == 1 {
			n = 1 // and always in the cache
		}
		q := queue{in: in, free: make(chan *piece, n), order: make(chan *piece, n)}
		for range n {
			q.free <- &piece{buf: make([]byte, 0, size+room), parsed: make(chan struct{}, 1)}
		}
		quit := make(chan struct{})
		defer close(quit)
		for range workers - 1 {
			go func() {
				for parser := parser(); ; {
					select {
					case p := <-q.free:
						q.fill(p, parser)
					case <-quit:
						return
					}
				}
			}()
		}
		own := parser()
		for p := q.next(own); p != nil; p = q.next(own) {
			if !yield(&p.Chunk, nil) {
				return
			}
			if p.err != nil && p.err != io.EOF {
				yield(nil, p.err)
				return
			}
			q.free <- p
		}
	}
}

// piece is a chunk with its buffer, on its way round.
type piece struct {
	parse.Chunk
	buf    []byte
	err    error         // after Text, io.EOF at the end
	parsed chan struct{} // receives when Chunk is filled in
}

// queue is where the pieces of a log stand in line.
type queue struct {
	free  chan *piece
	order chan *piece
	first *piece // of order

	mu    sync.Mutex
	in    source
	ended bool
}

// source is what a log is read from.
type source interface {
	// next says what fills the next piece, of which buf is the buffer: with
	// its text, and io.EOF if it is the last one. It is called by one at a
	// time, what it returns is not.
	next(buf []byte) (read func() ([]byte, error), last bool)
}

// fill reads and parses the next piece, if there is one.
func (q *queue) fill(p *piece, parser *parse.Parser) {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	read, last := q.in.next(p.buf)
	q.order <- p // never blocks: there are no more pieces
	if last {
		q.ended = true
		close(q.order)
	}
	q.mu.Unlock()
	p.Text, p.err = read()
	parser.Parse(&p.Chunk)
	p.parsed <- struct{}{}
}

// next returns the first piece in the line, nil at the end. Until it is parsed, it
// fills others.
func (q *queue) next(parser *parse.Parser) *piece {
	for {
		if q.first == nil {
			select {
			case q.first = <-q.order:
				if q.first == nil {
					return nil
				}
			default:
			}
		}
		if p := q.first; p != nil {
			select {
			case <-p.parsed:
				q.first = nil
				return p
			default:
			}
		}
		select {
		case p := <-q.free:
			q.fill(p, parser)
			continue
		default:
		}
		// All are filled, or being filled.
		if q.first == nil {
			q.first = <-q.order
		}
		if p := q.first; p != nil {
			<-p.parsed
			q.first = nil
			return p
		}
		return nil
	}
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
