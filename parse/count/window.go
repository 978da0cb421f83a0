package count

import (
	"slices"

	"ban_smtpd/parse"
)

// fail is one failure, or up to three of one kind in one second.
type fail struct {
	time uint32 // seconds since 1970
	what uint32 // the user's number, the class in 2 bits, and how many in 2
}

func (f fail) user() uint32       { return f.what >> 4 }
func (f fail) class() parse.Class { return parse.Class(f.what >> 2 & 3) }
func (f fail) n() uint32          { return f.what & 3 }

// put puts failures into the window.
func (c *Counter) put(cl *client, a *act) {
	what := a.user<<4 | uint32(a.class)<<2
	if cl.first == 0 || c.latest(cl) <= a.time {
		c.push(cl, a.time, what, a.n)
		return
	}
	// Two hosts are in one log, or a clock was set back: rare.
	list := slices.Clone(c.window(cl))
	i, _ := slices.BinarySearchFunc(list, a.time, func(f fail, t uint32) int {
		if f.time <= t {
			return -1
		}
		return 1
	})
	c.empty(cl)
	c.refill(cl, list[:i])
	c.push(cl, a.time, what, a.n)
	c.refill(cl, list[i:])
}

// push puts failures at the end.
func (c *Counter) push(cl *client, when, what, n uint32) {
	cl.sum += n
	if c.within == 0 && cl.last != 0 && n == 1 {
		// Without a window the time does not matter, but for the first.
		b := c.blocks.at(cl.last)
		for i := range b.fails[:cl.end] {
			if f := &b.fails[i]; f.what&^3 == what && f.n() < 3 {
				f.what++
				return
			}
		}
	}
	for ; n > 0; n -= min(n, 3) {
		if cl.last == 0 || int(cl.end) == len(block{}.fails) {
			number, _ := c.blocks.new()
			if cl.last == 0 {
				cl.first, cl.begin = number, 0
			} else {
				c.blocks.at(cl.last).next = number
			}
			cl.last, cl.end = number, 0
		}
		c.blocks.at(cl.last).fails[cl.end] = fail{when, what | min(n, 3)}
		cl.end++
	}
}

// latest is the time of the last failure in the window, which is not empty.
func (c *Counter) latest(cl *client) uint32 {
	return c.blocks.at(cl.last).fails[cl.end-1].time
}

// slide drops what is not after a time.
func (c *Counter) slide(cl *client, after int64) {
	for cl.first != 0 {
		b := c.blocks.at(cl.first)
		f := b.fails[cl.begin]
		if int64(f.time) > after {
			return
		}
		cl.sum -= f.n()
		cl.begin++
		switch {
		case cl.first == cl.last && cl.begin == cl.end:
			c.blocks.free(cl.first)
			cl.first, cl.last = 0, 0
		case int(cl.begin) == len(b.fails):
			c.blocks.free(cl.first)
			cl.first, cl.begin = b.next, 0
		}
	}
}

// window returns the failures in the window. They are valid until the next call.
func (c *Counter) window(cl *client) []fail {
	c.list = c.list[:0]
	begin := int(cl.begin)
	for number := cl.first; number != 0; {
		b := c.blocks.at(number)
		end := len(b.fails)
		if number == cl.last {
			end = int(cl.end)
		}
		c.list = append(c.list, b.fails[begin:end]...)
		begin = 0
		if number == cl.last {
			break
		}
		number = b.next
	}
	return c.list
}

// refill puts failures at the end that were in the window before.
func (c *Counter) refill(cl *client, list []fail) {
	for _, f := range list {
		c.push(cl, f.time, f.what&^3, f.n())
	}
}

// empty empties the window.
func (c *Counter) empty(cl *client) {
	for number := cl.first; number != 0; {
		next := c.blocks.at(number).next
		if number == cl.last {
			next = 0
		}
		c.blocks.free(number)
		number = next
	}
	cl.first, cl.last, cl.sum = 0, 0, 0
}
