package objects

// queue names where an entry goes.
type queue uint8

const (
	out queue = iota // it is evicted
	small
	main
	queues
)

// fill says how full a shard is.
type fill struct {
	small, main int64 // costs of the queues
	limit       int64 // that both may have together, about
	unit        int64 // what one entry costs, about
	// oldest is what policy.time was when main's oldest entry got there.
	oldest uint32
}

// smallShare is the part of the cost that the small queue may take.
const smallShare = 10

// policy makes the choices of a shard, and knows nothing of its entries but
// hashes and counts: another one can take its place. It is S3-FIFO: new
// entries pass through a small queue, and only those that were of use there
// get into the main one. Those that were not leave their hash behind, and go
// straight to the main queue if they come back soon.
//
// Its methods are called under the shard's lock, and none for a hit.
type policy struct {
	ghosts [][ghostWays]ghost
	ghost  uint32 // counts ghosts
	memory uint32 // how many ghosts are remembered
}

// ghostWays is how many places a ghost may have.
const ghostWays = 4

type ghost struct {
	tag  uint32
	born uint32
}

// fit is told how many entries there are, before one leaves and after the
// table of entries has grown.
func (p *policy) fit(entries int) {
	if n := uint32(entries); n > p.memory || n < p.memory/4 {
		buckets := 1
		for buckets*ghostWays < 2*entries {
			buckets *= 2
		}
		*p = policy{ghosts: make([][ghostWays]ghost, buckets), memory: uint32(buckets * ghostWays / 2)}
		p.ghost = p.memory // what is in no ghost's place is too old
	}
}

// time counts what the policy goes by; it is kept with the entries of main.
func (p *policy) time() uint32 { return 0 }

// insert says which queue a new key goes to.
func (p *policy) insert(hash uint64, _ fill) queue {
	if p.memory == 0 {
		return small
	}
	b, tag := p.bucket(hash)
	for i := range b {
		if b[i].tag == tag && p.ghost-b[i].born < p.memory {
			b[i].born = p.ghost - p.memory
			return main
		}
	}
	return small
}

// next says which queue is to give up its oldest entry. Where it has none, the
// other one has to.
func (p *policy) next(f fill) queue {
	if f.small > f.limit/smallShare {
		return small
	}
	return main
}

// leaveSmall says where an entry goes that has come to the end of small with
// so many hits: to main, where its count starts at 0, or out.
func (p *policy) leaveSmall(hash uint64, hits uint8) queue {
	if hits > 0 {
		return main
	}
	b, tag := p.bucket(hash)
	oldest := &b[0]
	for i := range b {
		if p.ghost-b[i].born > p.ghost-oldest.born {
			oldest = &b[i]
		}
	}
	p.ghost++
	*oldest = ghost{tag: tag, born: p.ghost}
	return out
}

// leaveMain says where an entry goes that has come to the end of main with so
// many hits: to its beginning, where its count starts at kept, or out.
func (p *policy) leaveMain(hits uint8) (to queue, kept uint8) {
	if hits > 0 {
		return main, hits - 1
	}
	return out, 0
}

func (p *policy) bucket(hash uint64) (b *[ghostWays]ghost, tag uint32) {
	return &p.ghosts[int(hash>>2)&(len(p.ghosts)-1)], uint32(hash >> 32)
}
