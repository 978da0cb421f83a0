package logfile

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"runtime"

	"ban_smtpd/parse"
)

// chunkSize is how much of a log is parsed at a time, in bytes: large against
// what it costs to hand a chunk over, small against a cache.
const chunkSize = 256 << 10

// chunks yields the text of r in pieces of whole lines, parsed, in order. All
// goroutines of the program are here: one reads, several parse, each with a
// parser of its own, and the caller's takes the pieces in the order in which
// they were read. A chunk is valid until the next. size is at least twice
// parse.MaxLine.
func chunks(r io.Reader, size int, parser func() *parse.Parser) iter.Seq2[*parse.Chunk, error] {
	return func(yield func(*parse.Chunk, error) bool) {
		workers := runtime.GOMAXPROCS(0)
		n := 2*workers + 1 // each worker has one, and one waits for it; the caller has one
		free := make(chan *piece, n)
		work := make(chan *piece, n)
		order := make(chan *piece, n)
		quit := make(chan struct{})
		defer close(quit)
		for range n {
			free <- &piece{buf: make([]byte, 0, size), parsed: make(chan struct{}, 1)}
		}
		go func() {
			defer close(work)
			defer close(order)
			for cut := (cutter{r: r}); ; {
				var p *piece
				select {
				case p = <-free:
				case <-quit:
					return
				}
				p.Text, p.err = cut.next(p.buf)
				work <- p // never blocks: there are but n pieces
				order <- p
				if p.err != nil {
					return
				}
			}
		}()
		for range workers {
			go func() {
				parser := parser()
				for p := range work {
					parser.Parse(&p.Chunk)
					p.parsed <- struct{}{}
				}
			}()
		}
		for p := range order {
			<-p.parsed
			if !yield(&p.Chunk, nil) {
				return
			}
			if p.err != nil && p.err != io.EOF {
				yield(nil, p.err)
				return
			}
			free <- p
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

// cutter cuts what it reads into pieces that end with a newline.
type cutter struct {
	r    io.Reader
	rest []byte // the beginning of the next line
}

// next fills buf up to its capacity. The text that it returns with an error
// may end without a newline. Of a line that fills buf the middle is left out;
// it is longer than parse.MaxLine either way, and so skipped.
func (c *cutter) next(buf []byte) ([]byte, error) {
	buf = append(buf[:0], c.rest...)
	c.rest = c.rest[:0]
	for {
		n, err := io.ReadFull(c.r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // also of a compressed file that is still being written
		}
		if err != nil {
			return buf, err
		}
		if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
			c.rest = append(c.rest, buf[i+1:]...)
			return buf[:i+1], nil
		}
		buf = buf[:parse.MaxLine+1]
	}
}
