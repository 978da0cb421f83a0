package logfile

import (
	"io"
	"slices"
	"sync"

	"ban_smtpd/parse"
)

// maxAhead is how many events are kept of a file that is read before its turn.
// Of a log in which few lines matter that is all of it.
const maxAhead = 8192

// ahead is a compressed file that is read while those before it are. What is kept
// of it are its events, and not the text that they were in.
type ahead struct {
	mu     sync.Mutex
	change sync.Cond
	chunks []*kept
	used   []*kept // that nobody needs any more
	events int     // in chunks, and one for each
	ended  bool    // nothing will be added
	left   bool    // nobody will take what is added
	err    error
}

// kept is a chunk without its text.
type kept struct {
	parse.Chunk
	users []byte // the names in its events
}

// readAhead begins to read.
func readAhead(text io.Reader, parser *parse.Parser) *ahead {
	a := &ahead{}
	a.change.L = &a.mu
	go func() {
		in, buf := stream{r: text}, make([]byte, 0, chunkSize)
		var text parse.Chunk
		for err := error(nil); err == nil && a.wanted(); {
			// Several at a time: to wake somebody up takes as long as to parse.
			var list []*kept
			for events := 0; err == nil && events < maxAhead/4; {
				k := a.unused()
				text.Text, err = in.lines(buf[:0])
				parser.Parse(&text)
				k.keep(&text)
				list = append(list, k)
				events += len(k.Events) + 1
			}
			a.put(list, err)
		}
	}()
	return a
}

// keep copies what is to be kept of a chunk.
func (k *kept) keep(c *parse.Chunk) {
	events := append(k.Events[:0], c.Events...)
	k.Chunk, k.Events, k.Text = *c, events, nil
	size := 0
	for i := range events {
		size += len(events[i].User)
	}
	k.users = slices.Grow(k.users[:0], size)
	for i := range events {
		if u := events[i].User; u != nil {
			k.users = append(k.users, u...)
			events[i].User = k.users[len(k.users)-len(u):]
		}
	}
}

// unused returns one to be filled.
func (a *ahead) unused() *kept {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.used); n > 0 {
		k := a.used[n-1]
		a.used = a.used[:n-1]
		return k
	}
	return &kept{}
}

// wanted waits until there is room, and says whether somebody reads on.
func (a *ahead) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.events > maxAhead && !a.left {
		a.change.Wait()
	}
	return !a.left
}

func (a *ahead) put(list []*kept, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range list {
		a.chunks = append(a.chunks, c)
		a.events += len(c.Events) + 1
	}
	if a.ended = err != nil; err != io.EOF {
		a.err = err
	}
	a.change.Broadcast()
}

// next returns the next chunk, nil at the end, and then why it is that. It is
// valid until done.
func (a *ahead) next() (*kept, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.chunks) == 0 {
		if a.ended {
			return nil, a.err
		}
		a.change.Wait()
	}
	k := a.chunks[0]
	a.chunks = a.chunks[1:]
	return k, nil
}

func (a *ahead) done(k *kept) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = append(a.used, k)
	if a.events -= len(k.Events) + 1; a.events < maxAhead/2 {
		a.change.Broadcast()
	}
}

// leave ends the reading.
func (a *ahead) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	a.change.Broadcast()
}
