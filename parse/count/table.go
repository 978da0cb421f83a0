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
// looked up is young again. So there are at most twice the limit, and the ones
// dropped are those of which nothing was heard for longest.
type table[V any] struct {
	slots []slot[V] // open addressing: a value is where its hash says, or after that
	shift uint8     // of a hash, to the number of its slot
	n     int       // slots in use
	seed  key       // nobody can guess which keys meet

	era   uint32
	young int // slots of this era
	limit int
	drop  func(*V) bool // says whether a value may go, and gives back what belongs to it
}

type key [2]uint64

type slot[V any] struct {
	key key
	era uint32 // 0: not in use
	val V
}

func newTable[V any](limit int, drop func(*V) bool) *table[V] {
	t := &table[V]{seed: key{rand.Uint64(), rand.Uint64()}, era: 1, limit: limit, drop: drop}
	t.resize(1 << 8)
	return t
}

// home returns the number of the slot where k would best be.
func (t *table[V]) home(k key) int {
	hi, lo := bits.Mul64(k[0]^t.seed[0], k[1]^t.seed[1])
	return int((hi ^ lo) >> t.shift)
}

// find returns the slot that has k, or the unused one where it would be, and its
// number.
func (t *table[V]) find(k key) (*slot[V], int) { return t.findFrom(t.home(k), k) }

// findFrom begins with slot i, which has k, or is its home.
func (t *table[V]) findFrom(i int, k key) (*slot[V], int) {
	slots := t.slots
	for {
		i &= len(slots) - 1
		if s := &slots[i]; s.key == k || s.era == 0 {
			return s, i
		}
		i++
	}
}

// get returns the value of k, nil if there is none. It is valid until the next
// add or remove.
func (t *table[V]) get(k key) *V {
	s, _ := t.find(k)
	return t.value(s)
}

// getAt is get, where k was found in a slot some time ago.
func (t *table[V]) getAt(i int, k key) *V {
	if i < len(t.slots) && t.slots[i].key == k {
		return t.value(&t.slots[i])
	}
	return t.get(k)
}

func (t *table[V]) value(s *slot[V]) *V {
	if s.era != t.era {
		if s.era == 0 {
			return nil
		}
		s.era = t.era
		t.young++
	}
	return &s.val
}

// add returns the value of k, and says whether it is a new one. It is valid until
// the next add or remove.
func (t *table[V]) add(k key) (v *V, added bool) {
	if t.young >= t.limit {
		t.age()
	}
	if t.n >= len(t.slots)/8*7 {
		t.resize(2 * len(t.slots))
	}
	s, _ := t.find(k)
	if s.era != t.era {
		t.young++
	}
	if s.era == 0 {
		t.n++
		s.key, added = k, true
	}
	s.era = t.era
	return &s.val, added
}

// remove removes k, if it is there.
func (t *table[V]) remove(k key) {
	s, i := t.find(k)
	switch s.era {
	case 0:
		return
	case t.era:
		t.young--
	}
	t.n--
	// What follows and is not where it would best be, moves up.
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j].era != 0; j = (j + 1) & mask {
		if home := t.home(t.slots[j].key); (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot[V]{}
}

// age drops the old generation.
func (t *table[V]) age() {
	old := t.era
	t.era++
	t.young = 0
	var gone []key
	for i := range t.slots {
		if s := &t.slots[i]; s.era != 0 && s.era != old && t.drop(&s.val) {
			gone = append(gone, s.key)
		}
	}
	for _, k := range gone {
		t.remove(k)
	}
}

func (t *table[V]) resize(n int) {
	old := t.slots
	t.slots = make([]slot[V], n)
	t.shift = uint8(64 - bits.TrailingZeros(uint(n)))
	for i := range old {
		if old[i].era != 0 {
			s, _ := t.find(old[i].key)
			*s = old[i]
		}
	}
}

// all yields all values. The table must not change meanwhile.
func (t *table[V]) all(yield func(key, *V) bool) {
	for i := range t.slots {
		if s := &t.slots[i]; s.era != 0 && !yield(s.key, &s.val) {
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
