package gcnode

import (
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/ring"
)

// estateBits is the size of what an estate remembers of keys.
const estateBits = 1 << 22

// estate is what a node has inherited by a change of the ring: the owners of
// the ring before may have it. A nil estate is closed.
//
// What was loaded here since is taken from none of them, so that nobody goes
// back to what is older than he has seen, when it was evicted, has ended, or is
// dropped for a write that the previous owner had applied before it loaded:
//
//	this node                         the previous owner
//	                                  applies a write, loads
//	loads, and answers
//	applies the write
//	asks for the key         ───────▶
//	would answer what is older ◀───── answers what it has loaded
//
// Its methods can be called by several goroutines at the same time.
type estate struct {
	ring    func() *ring.Ring // of which only misses have need, since making one takes long
	until   int64             // on the node's clock
	settled atomic.Bool       // it is here

	// own has the bits of the keys that were loaded here; nil: there are none.
	// Those that share one cost a load.
	own atomic.Pointer[[estateBits / 64]atomic.Uint64]
}

// open reports whether previous owners are to be asked.
func (e *estate) open(now int64) bool { return e != nil && now < e.until && !e.settled.Load() }

// loaded takes note of a load of the key, before anybody is answered with it.
func (e *estate) loaded(group, key string) {
	own := e.own.Load()
	if own == nil {
		e.own.CompareAndSwap(nil, new([estateBits / 64]atomic.Uint64))
		own = e.own.Load()
	}
	word, bit := placeOf(group, key)
	own[word].Or(bit)
}

// left reports whether the key may be taken: it was not loaded since.
func (e *estate) left(group, key string) bool {
	if e == nil {
		return true
	}
	own := e.own.Load()
	if own == nil {
		return true
	}
	word, bit := placeOf(group, key)
	return own[word].Load()&bit == 0
}

// placeOf is where the bit of a key is.
func placeOf(group, key string) (word int, bit uint64) {
	h := hashOf(group, key) % estateBits
	return int(h / 64), 1 << (h % 64)
}
