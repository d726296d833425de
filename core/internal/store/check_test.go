package store

import (
	"errors"
	"fmt"
	"slices"
)

// Check compares what a store has counted with what it holds: it walks over
// all slabs and the index.
func Check(s *Store) error {
	var used int64
	var errs []error
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if err := sh.check(i); err != nil {
			errs = append(errs, fmt.Errorf("shard %d of %d: %w", i, len(s.shards), err))
		}
		used += sh.bytes.Load()
		sh.mu.Unlock()
	}
	if got := s.used.Load(); got != used {
		errs = append(errs, fmt.Errorf("%d bytes are in use, and %d in the shards", got, used))
	}
	return errors.Join(errs...)
}

// check is Check for one shard, whose lock is held.
func (sh *shard) check(number int) error {
	ix := sh.index.Load()
	words, err := sh.checkIndex(ix, number)
	if err != nil {
		return err
	}
	slabs, dead := 0, 0
	for name, q := range map[string]*queue{"small": &sh.small, "main": &sh.main} {
		if q.open != nil && q.open != q.slabs[len(q.slabs)-1] {
			return fmt.Errorf("%s: the open slab is not the last", name)
		}
		var bytes int64
		for i, sl := range q.slabs {
			if err := sh.checkSlab(ix, sl, words); err != nil {
				return fmt.Errorf("%s: slab %d of %d: %w", name, i, len(q.slabs), err)
			}
			if sl.inMain != (q == &sh.main) {
				return fmt.Errorf("%s: slab %d of %d: in main is %v", name, i, len(q.slabs), sl.inMain)
			}
			bytes += sl.cost()
			dead += sl.dead
			slabs++
		}
		if q.bytes != bytes {
			return fmt.Errorf("%s has %d bytes, its slabs have %d", name, q.bytes, bytes)
		}
	}
	for w := range words {
		return fmt.Errorf("the word %#x speaks of no record in a queue", w)
	}
	if sh.latest != nil && !slices.Contains(sh.small.slabs, sh.latest) && !slices.Contains(sh.main.slabs, sh.latest) {
		return errors.New("the latest slab is in no queue")
	}
	if sh.slabs != slabs || sh.dead != dead {
		return fmt.Errorf("%d slabs with %d dead bytes were counted, there are %d with %d", sh.slabs, sh.dead, slabs, dead)
	}
	if got, want := sh.bytes.Load(), sh.small.bytes+sh.main.bytes+ix.cost()+sh.policy.Bytes(); got != want {
		return fmt.Errorf("%d bytes were counted, there are %d", got, want)
	}
	return nil
}

// checkIndex returns the places that the index speaks of.
func (sh *shard) checkIndex(ix *index, number int) (map[word]bool, error) {
	places, filled := map[word]bool{}, 0
	for i := range ix.slots {
		w := ix.load(i)
		if w != empty {
			filled++
		}
		if !w.present() {
			continue
		}
		sl := ix.slab(w)
		if sl == nil || w.offset() >= sl.filled {
			return nil, fmt.Errorf("the word %#x in slot %d speaks of no record", w, i)
		}
		if places[w.place()] {
			return nil, fmt.Errorf("two words speak of the place %#x", w.place())
		}
		places[w.place()] = true
		r := record(sl.block[w.offset():])
		hash := sh.hash(r)
		if found, _ := ix.find(hash, r.key()); found != i || w.tag() != tagOf(hash) {
			return nil, fmt.Errorf("key %q is in slot %d, and found in %d", r.key(), i, found)
		}
		if home := sh.store.shard(hash); home != number {
			return nil, fmt.Errorf("key %q is of shard %d", r.key(), home)
		}
	}
	if sh.live != len(places) || sh.filled != filled {
		return nil, fmt.Errorf("%d entries in %d slots were counted, there are %d in %d", sh.live, sh.filled, len(places), filled)
	}
	slabs := 0
	for i := range ix.table {
		if sl := ix.table[i].Load(); sl != nil {
			slabs++
		}
	}
	if slabs != sh.slabs {
		return nil, fmt.Errorf("%d slabs were counted, %d are in the table", sh.slabs, slabs)
	}
	return places, nil
}

// checkSlab takes the places of the slab's records out of places.
func (sh *shard) checkSlab(ix *index, sl *slab, places map[word]bool) error {
	if ix.slab(makeWord(0, sl.id, 0)) != sl {
		return fmt.Errorf("id %d is not in the table", sl.id)
	}
	at, dead, spans := 0, 0, make([]int32, len(sl.spans))
	for at < sl.filled {
		r := record(sl.block[at:])
		expires, size := r.expires(), r.size()
		place := makeWord(0, sl.id, at).place()
		at += size
		if !places[place] {
			dead += size
			continue
		}
		delete(places, place)
		if expires == Never {
			continue
		}
		sp := sl.span(expires)
		if sp.last < expires {
			return fmt.Errorf("a record expires at %d, its span at %d", expires, sp.last)
		}
		if len(spans) != len(sl.spans) {
			return fmt.Errorf("a record expires at %d, for which there is no span", expires)
		}
		spans[slices.IndexFunc(sl.spans, func(s span) bool { return s.bucket == sp.bucket })] += int32(size)
	}
	if at != sl.filled || sl.dead != dead {
		return fmt.Errorf("%d bytes, %d of them dead, were counted, there are %d and %d", sl.filled, sl.dead, at, dead)
	}
	for i, sp := range sl.spans {
		if sp.bytes != spans[i] {
			return fmt.Errorf("%d bytes were counted that expire until %d, there are %d", sp.bytes, sp.last, spans[i])
		}
		if sp.last > sh.store.now()-sh.store.grace && sp.last < sh.earliest {
			return fmt.Errorf("a span expires at %d, and none was expected before %d", sp.last, sh.earliest)
		}
	}
	return nil
}
