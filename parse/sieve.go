package parse

import "encoding/binary"

// Most lines of a log do not matter, and to see that is most of the work. This is
// what makes it short.

// beginning is what a line begins with. It is compared in half the time that
// bytes.HasPrefix takes.
type beginning struct {
	n    int // its length; 0 if it is not known, or too long
	text [8]uint64
	mask [8]uint64 // what of text it is
}

func (b *beginning) set(text []byte) {
	*b = beginning{}
	var padded, mask [64]byte
	if len(text) <= len(padded) {
		b.n = copy(padded[:], text)
	}
	for i := range b.n {
		mask[i] = 0xff
	}
	for i := range b.text {
		b.text[i] = binary.LittleEndian.Uint64(padded[8*i:])
		b.mask[i] = binary.LittleEndian.Uint64(mask[8*i:])
	}
}

// of returns how much of the line b is: all of b, or 0. Of a short line it may be 0
// anyway.
func (b *beginning) of(line []byte) int {
	if b.n == 0 || len(line) < 64 {
		return 0
	}
	l := (*[64]byte)(line)
	differ := (binary.LittleEndian.Uint64(l[0:])^b.text[0])&b.mask[0] |
		(binary.LittleEndian.Uint64(l[8:])^b.text[1])&b.mask[1] |
		(binary.LittleEndian.Uint64(l[16:])^b.text[2])&b.mask[2] |
		(binary.LittleEndian.Uint64(l[24:])^b.text[3])&b.mask[3]
	if b.n > 32 {
		differ |= (binary.LittleEndian.Uint64(l[32:])^b.text[4])&b.mask[4] |
			(binary.LittleEndian.Uint64(l[40:])^b.text[5])&b.mask[5] |
			(binary.LittleEndian.Uint64(l[48:])^b.text[6])&b.mask[6] |
			(binary.LittleEndian.Uint64(l[56:])^b.text[7])&b.mask[7]
	}
	if differ != 0 {
		return 0
	}
	return b.n
}

// sieve tells messages that cannot matter by eight bytes of them: a word, and then a
// letter, which may be one of several. Which lines matter cannot be foretold, so
// there is one branch; each that the processor takes in vain costs as much as the
// rest of this.
type sieve struct {
	at      int    // where the eight bytes are
	word    uint64 // the first seven of them
	mask    uint64 // what of word is looked at
	letters uint64 // a bit for each letter, by its lower five bits
}

// all lets all messages pass.
var all = sieve{letters: ^uint64(0)}

func newSieve(at int, word, letters string) sieve {
	s := sieve{at: at}
	for i := range word {
		s.word |= uint64(word[i]) << (8 * i)
		s.mask |= 0xff << (8 * i)
	}
	for i := range letters {
		s.letters |= 1 << (letters[i] & 31)
	}
	return s
}

// stops says whether a message cannot matter. Of a short one that is not said.
func (s *sieve) stops(msg []byte) bool {
	if len(msg) < s.at+8 {
		return false
	}
	x := binary.LittleEndian.Uint64(msg[s.at:])
	return (x^s.word)&s.mask|^s.letters>>(x>>56&31)&1 != 0
}
