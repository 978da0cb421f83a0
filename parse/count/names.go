package count

import "hash/maphash"

// names knows user names by numbers of 28 bits, which are hashes of them, and the
// text of the first of them.
type names struct {
	seed  maphash.Seed // so that nobody can choose two names with one number
	text  map[uint32]string
	size  int             // of text, in bytes
	known [1 << 10]uint32 // numbers that need not be looked up
}

func newNames() names { return names{seed: maphash.MakeSeed(), text: map[uint32]string{}} }

// number returns the number of a name, 0 for none.
func (n *names) number(name []byte) uint32 {
	if name == nil {
		return 0
	}
	number := max(1, uint32(maphash.Bytes(n.seed, name))>>4)
	known := &n.known[number%uint32(len(n.known))]
	if *known == number {
		return number
	}
	*known = number
	if _, ok := n.text[number]; !ok && n.size < maxKnown {
		n.text[number] = string(name[:min(len(name), maxName)])
		n.size += min(len(name), maxName) + 64 // the map's share
	}
	return number
}

// texts returns the names that are known.
func (n *names) texts(numbers []uint32) []string {
	var list []string
	for _, number := range numbers {
		if text, ok := n.text[number]; ok {
			list = append(list, text)
		}
	}
	return list
}
