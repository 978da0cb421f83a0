package count

import (
	"math/bits"
	"math/rand/v2"
)

// table maps keys to values of a type without pointers, so that the garbage
// collector has nothing to look at, and a million entries cost little more than
// what is in them.
//
// It has two generations. When as many entries as the limit are young, the old
// ones are dropped that may go, and the young ones grow old; an entry that is
// looked up is young again. So there are at most twice the limit and those that may
// not go, and the ones dropped are those of which nothing was heard for longest.
type table[V any] struct {
	// The index is open addressing: where its hash says, or after that, stands
	// the number of an entry, and in the bits above it another part of the
	// hash, so that hardly ever an entry is looked at which is not the one.
	index   []uint32 // 0: none
	shift   uint8    // of a hash, to a place in the index
	entries slab[entry[V]]
	n       int // entries in use
	seed    key // nobody can guess which keys meet

	era   uint32
	young int // entries of this era
	limit int
	drop  func(*V) bool // says whether a value may go, and gives back what belongs to it
}

// key is a struct and no array, for the compiler keeps it in registers then: a tenth
// of all the time.
type key struct{ hi, lo uint64 }

type entry[V any] struct {
	key key
	era uint32 // 0: not in use
	val V
}

// numberBits is how many bits an entry's number has. There can be three times
// maxClients.
const numberBits = 21

func newTable[V any](limit int, drop func(*V) bool) *table[V] {
	t := &table[V]{
		seed: key{rand.Uint64(), rand.Uint64()}, era: 1, limit: limit, drop: drop,
		entries: newSlab[entry[V]](),
	}
	t.reindex(1 << 8)
	return t
}

func (t *table[V]) hash(k key) uint64 {
	hi, lo := bits.Mul64(k.hi^t.seed.hi, k.lo^t.seed.lo)
	return hi ^ lo
}

// find returns the number of k's entry, 0 if there is none, and its place in the
// index, or where that would be.
func (t *table[V]) find(k key) (number uint32, place int) {
	hash := t.hash(k)
	for i := int(hash >> t.shift); ; i++ {
		i &= len(t.index) - 1
		x := t.index[i]
		if x == 0 {
			return 0, i
		}
		if number = x & (1<<numberBits - 1); x == uint32(hash)<<numberBits|number && t.entries.at(number).key == k {
			return number, i
		}
	}
}

// guess returns the number of the entry with a hash, if there is one, and does not
// look at it: mostly it is the right one.
func (t *table[V]) guess(hash uint64) (number uint32) {
	for i := int(hash >> t.shift); ; i++ {
		x := t.index[i&(len(t.index)-1)]
		if number = x & (1<<numberBits - 1); x == uint32(hash)<<numberBits|number || x == 0 {
			return number
		}
	}
}

// get returns the value of k, nil if there is none.
func (t *table[V]) get(k key) *V {
	number, _ := t.find(k)
	return t.value(number)
}

// getGuess is get, where k's number was guessed some time ago.
func (t *table[V]) getGuess(number uint32, k key) *V {
	if e := t.entries.at(number); number != 0 && e.key == k && e.era != 0 {
		return t.value(number)
	}
	return t.get(k)
}

func (t *table[V]) value(number uint32) *V {
	if number == 0 {
		return nil
	}
	e := t.entries.at(number)
	if e.era != t.era {
		e.era = t.era
		t.young++
	}
	return &e.val
}

// add returns the value of k, and says whether it is a new one.
func (t *table[V]) add(k key) (v *V, added bool) {
	if t.young >= t.limit {
		t.age()
	}
	number, place := t.find(k)
	if number != 0 {
		return t.value(number), false
	}
	if t.n >= len(t.index)/2 {
		t.reindex(2 * len(t.index))
		_, place = t.find(k)
	}
	number, e := t.entries.new()
	e.key, e.era = k, t.era
	t.index[place] = uint32(t.hash(k))<<numberBits | number
	t.n++
	t.young++
	return &e.val, true
}

// remove removes k, if it is there.
func (t *table[V]) remove(k key) {
	number, i := t.find(k)
	if number == 0 {
		return
	}
	t.free(number)
	// What follows and is not where it would best be, moves up.
	mask := len(t.index) - 1
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		home := int(t.hash(t.entries.at(t.index[j]&(1<<numberBits-1)).key) >> t.shift)
		if (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
}

func (t *table[V]) free(number uint32) {
	e := t.entries.at(number)
	if e.era == t.era {
		t.young--
	}
	e.era = 0
	t.n--
	t.entries.free(number)
}

// age drops the old generation.
func (t *table[V]) age() {
	for number := range t.entries.used {
		e := t.entries.at(number + 1)
		if e.era != 0 && e.era != t.era && t.drop(&e.val) {
			t.free(number + 1)
		}
	}
	t.era++
	t.young = 0
	t.reindex(len(t.index))
}

// reindex makes an index of that length.
func (t *table[V]) reindex(n int) {
	if n == len(t.index) {
		clear(t.index)
	} else {
		t.index = make([]uint32, n)
	}
	t.shift = uint8(64 - bits.TrailingZeros(uint(n)))
	for number := range t.entries.used {
		if e := t.entries.at(number + 1); e.era != 0 {
			hash := t.hash(e.key)
			i := int(hash >> t.shift)
			for t.index[i] != 0 {
				i = (i + 1) & (n - 1)
			}
			t.index[i] = uint32(hash)<<numberBits | (number + 1)
		}
	}
}

// all yields all values. The table must not change meanwhile.
func (t *table[V]) all(yield func(key, *V) bool) {
	for number := range t.entries.used {
		if e := t.entries.at(number + 1); e.era != 0 && !yield(e.key, &e.val) {
			return
		}
	}
}

// slab is memory for values that are known by their numbers, from 1. A value
// does not move. Number 0 is nobody's.
type slab[T any] struct {
	blocks [][]T
	used   uint32   // numbers given out
	idle   []uint32 // of these, given back
}

func newSlab[T any]() slab[T] { return slab[T]{blocks: [][]T{make([]T, 1<<blockBits)}} }

const blockBits = 9

func (s *slab[T]) at(number uint32) *T {
	return &s.blocks[number>>blockBits][number&(1<<blockBits-1)]
}

// new returns a value that is zero.
func (s *slab[T]) new() (number uint32, v *T) {
	if n := len(s.idle); n > 0 {
		number = s.idle[n-1]
		s.idle = s.idle[:n-1]
		v = s.at(number)
		*v = *new(T)
		return number, v
	}
	s.used++
	if int(s.used>>blockBits) >= len(s.blocks) {
		s.blocks = append(s.blocks, make([]T, 1<<blockBits))
	}
	return s.used, s.at(s.used)
}

func (s *slab[T]) free(number uint32) { s.idle = append(s.idle, number) }
