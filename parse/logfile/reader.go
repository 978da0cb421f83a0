package logfile

import (
	"io"
	"slices"
	"sync"

	"ban_smtpd/parse"
)

// chunkSize is how much of a log is parsed at a time, in bytes: large against
// what it costs to hand a chunk over, small against a cache.
const chunkSize = 256 << 10

// maxWorkers is how many goroutines parse: as many as one that counts can bear.
const maxWorkers = 4

// maxKept is how much memory, in bytes, the pieces may take that are parsed and
// not used yet, of the file that is read now, and maxAhead of all others.
const (
	maxKept  = 256 << 10
	maxAhead = 3 << 20
)

// reader reads logs. All goroutines of the program are here.
//
// Whoever has nothing to do reads a piece of a file and parses it while it is in
// the cache: the workers, and so does the one who counts whenever nothing is
// ready. So there are no more of them than processors, and none waits while there
// is something to do. Of a compressed file one at a time can read on; meanwhile
// the others parse what was read of it, and read the files that come after, of
// which more can be kept packed.
type reader struct {
	size   int // of a piece, in bytes; at least twice parse.MaxLine for what is no plain file
	parser Parser
	logs   []*log

	mu      sync.Mutex
	change  sync.Cond
	pieces  []*piece       // that are not in use
	chunks  []*parse.Chunk // that are not in use
	current *File          // the last of which a piece was used
	kept    int            // how much memory the pieces take that are parsed and not used yet
	left    bool           // nobody wants any more
}

// log is one log, in the files that it was rotated to.
type log struct {
	files []*File // that are not used up, the oldest first
	using *piece
	time  int64 // of the first event in the piece that is used: the log that is behind is needed first
}

// piece is what is in a part of a file.
type piece struct {
	chunk  *parse.Chunk // nil if it is packed
	packed []byte
	err    error // why the file ends here, other than by its end
	ready  bool
}

func (p *piece) size() int {
	if p.chunk == nil {
		return cap(p.packed)
	}
	return p.chunk.Size()
}

// newReader returns a reader with that many workers, the caller among them.
func newReader(logs [][]*File, size, workers int, parser Parser) *reader {
	r := &reader{size: size, parser: parser}
	r.change.L = &r.mu
	for _, files := range logs {
		r.logs = append(r.logs, &log{files: files})
	}
	for range workers - 1 {
		go r.work()
	}
	return r
}

// leave ends the reading.
func (r *reader) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
	r.change.Broadcast()
}

// worker is what one goroutine needs to read.
type worker struct {
	buf    []byte
	file   *File
	parser *parse.Parser // of the file
}

func (r *reader) newWorker() *worker { return &worker{buf: make([]byte, 0, r.size+room)} }

// work reads pieces until there is nothing left to do.
func (r *reader) work() {
	w := r.newWorker()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.left {
		if f, p := r.ahead(); p != nil {
			r.fill(w, f, p)
		} else {
			r.change.Wait()
		}
	}
}

// next returns the next piece of a log and its file, nil at the end. It is valid
// until the next call.
func (r *reader) next(l *log, w *worker) (*File, *piece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.using != nil {
		r.free(l.using)
		l.using = nil
	}
	for len(l.files) > 0 {
		f := l.files[0]
		switch {
		case len(f.pieces) == 0 && f.ended:
			l.files = l.files[1:]
		case len(f.pieces) == 0:
			r.fill(w, f, r.take(f))
		case !f.pieces[0].ready:
			if f, p := r.ahead(); p != nil {
				r.fill(w, f, p)
			} else {
				r.change.Wait()
			}
		case f.broken:
			r.free(r.first(f))
		default:
			p := r.first(f)
			l.use(p)
			if p.err != nil {
				f.broken, f.ended = true, true
			}
			return f, p
		}
	}
	return nil, nil
}

// first takes the first piece of a file out of the line.
func (r *reader) first(f *File) *piece {
	p := f.pieces[0]
	f.pieces = f.pieces[1:]
	f.kept -= p.size()
	r.kept -= p.size()
	if r.current != f || f.kept < maxKept/2 {
		r.current = f
		r.change.Broadcast()
	}
	if p.chunk == nil {
		p.chunk = r.chunk()
		p.chunk.Unpack(p.packed)
	}
	return p
}

func (l *log) use(p *piece) {
	l.using = p
	if len(p.chunk.Events) > 0 {
		l.time = p.chunk.Events[0].Time
	}
}

// ahead takes a piece before it is needed: of the current file, or of the one that
// will be needed first.
func (r *reader) ahead() (*File, *piece) {
	others := r.kept
	if f := r.current; f != nil {
		if f.kept < maxKept && !f.busy && !f.ended {
			return f, r.take(f)
		}
		others -= f.kept
	}
	if others > maxAhead {
		return nil, nil
	}
	var first *log
	var file *File
	for _, l := range r.logs {
		i := slices.IndexFunc(l.files, func(f *File) bool { return f != r.current && !f.busy && !f.ended })
		if i >= 0 && i < maxWorkers && (first == nil || l.time < first.time) {
			first, file = l, l.files[i]
		}
	}
	if file == nil {
		return nil, nil
	}
	return file, r.take(file)
}

// take begins the next piece of a file, which is not busy.
func (r *reader) take(f *File) *piece {
	p := &piece{}
	if n := len(r.pieces); n > 0 {
		p, r.pieces = r.pieces[n-1], r.pieces[:n-1]
	}
	p.chunk, p.err, p.ready = r.chunk(), nil, false
	f.busy = true
	f.pieces = append(f.pieces, p)
	return p
}

func (r *reader) chunk() *parse.Chunk {
	n := len(r.chunks)
	if n == 0 {
		return &parse.Chunk{}
	}
	c := r.chunks[n-1]
	r.chunks = r.chunks[:n-1]
	return c
}

// free takes back a piece that was used.
func (r *reader) free(p *piece) {
	if p.chunk != nil {
		r.chunks = append(r.chunks, p.chunk)
	}
	r.pieces = append(r.pieces, p)
}

// fill reads and parses a piece that was taken. It unlocks r meanwhile.
func (r *reader) fill(w *worker, f *File, p *piece) {
	r.mu.Unlock()
	if w.file != f {
		w.file, w.parser = f, r.parser(f)
	}
	read, last := f.next(w.buf)

	r.mu.Lock()
	f.busy, f.ended = false, f.ended || last
	pack := f.compressed && f != r.current
	r.change.Broadcast()
	r.mu.Unlock()

	text, err := read()
	w.parser.Parse(text, p.chunk)
	if err != io.EOF {
		p.err = err
	}
	if pack {
		p.packed = p.chunk.Pack(p.packed[:0])
	}

	r.mu.Lock()
	if pack {
		r.chunks = append(r.chunks, p.chunk)
		p.chunk = nil
	}
	p.ready = true
	f.kept += p.size()
	r.kept += p.size()
	r.change.Broadcast()
}

// next says what fills the next piece, of which buf is the buffer, and whether it
// is the last one. It is called by one at a time, what it returns is not.
func (f *File) next(buf []byte) (read func() ([]byte, error), last bool) {
	if f.source == nil {
		text, err := f.start()
		if err != nil {
			return func() ([]byte, error) { return nil, err }, true
		}
		f.source = &stream{r: text}
		if r, ok := f.in.(io.ReaderAt); ok && f.regular() && !f.compressed {
			f.source = &file{r: r, size: f.info.Size()}
		}
	}
	return f.source.next(buf)
}
