package count

import (
	"math/rand/v2"
	"testing"
)

// A table does what a map does, whatever is added and removed.
func TestTable(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		table := newTable(1<<20, func(*int) bool { return true })
		want := map[key]int{}
		keys := 1 + rng.Uint64N(5000)
		for i := range 20_000 {
			k := key{rng.Uint64N(keys), 1}
			_, there := want[k]
			switch v := table.get(k); {
			case (v != nil) != there || there && *v != want[k]:
				t.Fatalf("seed %d, step %d: got %v of %v, want %v, %v", seed, i, v, k, want[k], there)
			case !there:
				want[k] = i
				v, _ := table.add(k)
				*v = i
			case rng.IntN(3) > 0:
				delete(want, k)
				table.remove(k)
			}
			if table.n != len(want) {
				t.Fatalf("seed %d, step %d: %d entries, want %d", seed, i, table.n, len(want))
			}
		}
		for k, v := range table.all {
			if *v != want[k] {
				t.Errorf("seed %d: got %d of %v, want %d", seed, *v, k, want[k])
			}
			delete(want, k)
		}
		if len(want) > 0 {
			t.Errorf("seed %d: %d entries are not in all", seed, len(want))
		}
	}
}

// The old ones go, and of these not the ones that may not.
func TestTableAges(t *testing.T) {
	table := newTable(100, func(v *int) bool { return *v != 7 })
	for i := range 1000 {
		v, _ := table.add(key{hi: uint64(i)})
		*v = i
		table.get(key{hi: 3}) // is heard of again and again
		if table.n > 2*100+2 {
			t.Fatalf("%d entries", table.n)
		}
	}
	for i, want := range map[int]bool{3: true, 7: true, 8: false, 700: false, 998: true} {
		if got := table.get(key{hi: uint64(i)}) != nil; got != want {
			t.Errorf("%d is there: %v, want %v", i, got, want)
		}
	}
}
