package parse

import (
	"encoding/binary"
	"net/netip"
)

// What follows an event's first two bytes, the kind and the class being the first.
const (
	packedSession = 1 << iota
	packedSame    // the session is that of the event before
	packed4
	packed16
	packedUser
	packedNumbers // Bits, Each and Count, where they are not 0, 1 and 1
	packedSpoke
)

// Pack appends the chunk in a form that takes a sixth of the memory, to be kept
// until it is needed.
func (c *Chunk) Pack(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.Lines))
	b = binary.AppendUvarint(b, uint64(c.Skipped))
	b = append(b, bit(c.event, 1)|bit(c.alone, 2))
	b = binary.LittleEndian.AppendUint64(b, c.host)
	b = binary.AppendUvarint(b, uint64(len(c.Events)))
	var when int64
	var session uint64
	for i := range c.Events {
		e := &c.Events[i]
		own := e.Session != 0 && e.Session != session
		numbers := e.Bits != 0 || e.Each != 1 || e.Count != 1
		b = append(b, byte(e.Kind)|byte(e.Class)<<4,
			bit(own, packedSession)|bit(e.Session == session, packedSame)|bit(e.Addr.Is4(), packed4)|bit(e.Addr.Is6(), packed16)|
				bit(e.User != nil, packedUser)|bit(numbers, packedNumbers)|bit(e.Spoke, packedSpoke))
		b = binary.AppendVarint(b, e.Time-when)
		when, session = e.Time, e.Session
		if own {
			b = binary.LittleEndian.AppendUint64(b, e.Session)
		}
		b = append(b, e.Addr.AsSlice()...)
		if e.User != nil {
			b = binary.AppendUvarint(b, uint64(len(e.User)))
			b = append(b, e.User...)
		}
		if numbers {
			b = append(b, e.Bits)
			b = binary.AppendUvarint(b, uint64(e.Each))
			b = binary.AppendUvarint(b, uint64(e.Count))
		}
	}
	return b
}

func bit(set bool, value byte) byte {
	if set {
		return value
	}
	return 0
}

// Unpack sets c to what was packed, into which the names in its events point.
func (c *Chunk) Unpack(b []byte) {
	u := unpacker(b)
	*c = Chunk{Events: c.Events[:0], users: c.users[:0], Lines: int(u.number()), Skipped: int(u.number())}
	flags := u.bytes(1)[0]
	c.event, c.alone = flags&1 != 0, flags&2 != 0
	c.host = binary.LittleEndian.Uint64(u.bytes(8))
	var when int64
	var session uint64
	for range u.number() {
		c.Events = append(c.Events, Event{})
		e := &c.Events[len(c.Events)-1]
		head := u.bytes(2)
		flags := head[1]
		e.Kind, e.Class, e.Spoke = Kind(head[0]&0xf), Class(head[0]>>4), flags&packedSpoke != 0
		e.Each, e.Count = 1, 1
		delta, n := binary.Varint(u)
		u = u[n:]
		when += delta
		e.Time = when
		switch {
		case flags&packedSession != 0:
			e.Session = binary.LittleEndian.Uint64(u.bytes(8))
		case flags&packedSame != 0:
			e.Session = session
		}
		session = e.Session
		switch {
		case flags&packed4 != 0:
			e.Addr = netip.AddrFrom4([4]byte(u.bytes(4)))
		case flags&packed16 != 0:
			e.Addr = netip.AddrFrom16([16]byte(u.bytes(16)))
		}
		if flags&packedUser != 0 {
			e.User = u.bytes(int(u.number()))
		}
		if flags&packedNumbers != 0 {
			e.Bits, e.Each, e.Count = u.bytes(1)[0], uint32(u.number()), uint32(u.number())
		}
	}
}

// unpacker is what is left of a packed chunk.
type unpacker []byte

func (u *unpacker) number() uint64 {
	n, size := binary.Uvarint(*u)
	*u = (*u)[size:]
	return n
}

func (u *unpacker) bytes(n int) []byte {
	b := (*u)[:n:n]
	*u = (*u)[n:]
	return b
}
