package httptransport

import (
	"fmt"
	"sync/atomic"

	gcnode "github.com/gcnode/gcnode/core"
)

// smallBytes is the size up to which a request counts by its place only.
const smallBytes = 16 << 10

// budget bounds the memory of all large requests together, from when the first
// part of one arrives until it is answered.
type budget struct {
	free atomic.Int64
	max  int64
}

func newBudget(bytes int64) *budget {
	b := &budget{max: bytes}
	b.free.Store(bytes)
	return b
}

// share is what one request has of a budget. It is for one goroutine at a time.
type share struct {
	of    *budget
	taken int64
}

// set makes the share what something of that size needs, or says that there is
// not so much.
func (s *share) set(bytes int64) *gcnode.Error {
	if bytes <= smallBytes {
		bytes = 0
	}
	more := bytes - s.taken
	if more == 0 {
		return nil
	}
	if left := s.of.free.Add(-more); left < 0 && more > 0 {
		s.of.free.Add(more)
		return &gcnode.Error{
			Kind: gcnode.KindOverloaded,
			Err:  fmt.Errorf("large requests take %d bytes already, which is the limit", s.of.max),
		}
	}
	s.taken = bytes
	return nil
}

// release gives the share back.
func (s *share) release() { _ = s.set(0) }

// What the parts of a request take beside their encoding, of which some is a
// few bytes only.
const (
	keyBytes     = 16
	idBytes      = 32
	removalBytes = 96
)

// sizeOf is about how much memory a request takes whose encoding has so many
// bytes.
func sizeOf(req *gcnode.Request, encoded int) int64 {
	keys := len(req.Keys) + len(req.Digests)
	for i := range req.Removals {
		keys += len(req.Removals[i].Keys)
	}
	return int64(encoded + keys*keyBytes + (len(req.Finished)+len(req.Known))*idBytes + len(req.Removals)*removalBytes)
}
