package store

// word is a word of the index:
//
//	 63        42   40       16        0
//	| tag       | uses | slab  | offset |
//
// The tag is a part of the key's hash whose highest bit is always set, uses
// counts the look-ups of the entry up to maxUses, slab is the lower part of
// the slab's id, and offset, in units of align bytes, is where the entry
// begins in it.
type word uint64

const (
	offsetBits = 16
	slabBits   = 24
	usesShift  = offsetBits + slabBits
	usesMask   = word(maxUses) << usesShift
	tagShift   = usesShift + 2
	tagBits    = 64 - tagShift

	maxUses = 3
	// align is what entries begin at a multiple of, in bytes.
	align = 4
	// maxSlabBytes is how far an offset reaches.
	maxSlabBytes = align << offsetBits
)

const (
	empty word = 0
	// gone marks the place of an entry that is no more: those behind it are
	// still found. Its tag is 0, which no entry has.
	gone word = 1
)

// tagOf is a hash's tag, in its place.
func tagOf(hash uint64) word {
	return (word(hash)>>shardBits | 1<<(tagBits-1)) << tagShift
}

// makeWord is the word of an entry that nobody has looked up.
func makeWord(hash, slab uint64, offset int) word {
	return tagOf(hash) | word(slab)&(1<<slabBits-1)<<offsetBits | word(offset/align)
}

func (w word) tag() word     { return w >> tagShift << tagShift }
func (w word) slab() uint64  { return uint64(w) >> offsetBits & (1<<slabBits - 1) }
func (w word) offset() int   { return int(w&(1<<offsetBits-1)) * align }
func (w word) uses() uint8   { return uint8(w & usesMask >> usesShift) }
func (w word) place() word   { return w & (1<<usesShift - 1) } // slab and offset
func (w word) present() bool { return w>>63 != 0 }

// same reports whether w and v are the same but for their uses.
func (w word) same(v word) bool { return (w^v)&^usesMask == 0 }

// used is w after n look-ups.
func (w word) used(n uint8) word { return w&^usesMask | word(n)<<usesShift }

// moved is w for the same entry in another place.
func (w word) moved(slab uint64, offset int) word {
	return w&^(1<<usesShift-1) | makeWord(0, slab, offset).place()
}
