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
	if cl.n == 0 || cl.latest() <= a.time {
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
	for ; n > 0; n -= min(n, 3) {
		if int(cl.n) == len(cl.fails) {
			c.spill(cl)
		}
		cl.fails[cl.n] = fail{when, what | min(n, 3)}
		cl.n++
	}
}

// spill makes room for more.
func (c *Counter) spill(cl *client) {
	number, b := c.blocks.new()
	b.fails = cl.fails
	if cl.first == 0 {
		cl.first, cl.begin = number, 0
	} else {
		c.blocks.at(cl.last).next = number
	}
	cl.last, cl.n = number, 0
}

// latest is the time of the last failure in the window, which is not empty.
func (cl *client) latest() uint32 { return cl.fails[cl.n-1].time }

// slide drops what is not after a time.
func (c *Counter) slide(cl *client, after int64) {
	drop := func(list []fail) (n uint8) {
		for ; int(n) < len(list) && int64(list[n].time) <= after; n++ {
			cl.sum -= list[n].n()
		}
		return n
	}
	for cl.first != 0 {
		b := c.blocks.at(cl.first)
		if cl.begin += drop(b.fails[cl.begin:]); int(cl.begin) < len(b.fails) {
			return
		}
		c.blocks.free(cl.first)
		cl.first, cl.begin = b.next, 0
	}
	n := drop(cl.fails[:cl.n])
	cl.n = uint8(copy(cl.fails[:], cl.fails[n:cl.n]))
}

// window returns the failures in the window. They are valid until the next call.
func (c *Counter) window(cl *client) []fail {
	c.list = c.list[:0]
	begin := cl.begin
	for number := cl.first; number != 0; begin = 0 {
		b := c.blocks.at(number)
		c.list = append(c.list, b.fails[begin:]...)
		number = b.next
	}
	c.list = append(c.list, cl.fails[:cl.n]...)
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
		c.blocks.free(number)
		number = next
	}
	cl.first, cl.n, cl.sum = 0, 0, 0
}
