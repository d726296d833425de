package objects

import "math/bits"

const (
	tickBits  = 20 // a tick is 2^20 ns, about a millisecond
	slotBits  = 6
	wheelSize = 1 << slotBits
	levels    = 7 // 2^62 ns, all that a clock may show and a life may last
)

// slotID is the place of an entry in a wheel; 0: none.
type slotID uint16

// wheel finds the entries whose time has come. It is a hierarchy of circles of
// slots: those of the first level are a tick long, those of the next one as
// long as the whole circle before. An entry is in the lowest level where its
// slot is another than that of the cursor, so it moves down as its time comes
// near. Inserting and removing take constant time.
//
// Work is done one entry a step, so that none has to do much at once. The
// cursor stays at the beginning of a slot until it is empty. The zero value is
// an empty wheel.
type wheel[T any] struct {
	entries int
	cursor  int64 // in ticks
	level   [levels]struct {
		filled uint64 // a bit for each slot
		first  *[wheelSize]*Entry[T]
	}
}

// insert adds an entry that is dead from the given time on.
func (w *wheel[T]) insert(e *Entry[T], dies, now int64) {
	if dies >= 1<<(tickBits+levels*slotBits)-1<<tickBits {
		return
	}
	if w.entries == 0 {
		w.cursor = max(w.cursor, now>>tickBits)
	}
	w.add(e, deathTick(dies))
}

// deathTick is the first tick that begins when the entry is dead.
func deathTick(dies int64) int64 { return (dies + 1<<tickBits - 1) >> tickBits }

func (w *wheel[T]) add(e *Entry[T], tick int64) {
	tick = max(tick, w.cursor)
	level := (bits.Len64(uint64(tick^w.cursor)|1) - 1) / slotBits
	slot := int(tick>>(level*slotBits)) & (wheelSize - 1)
	l := &w.level[level]
	if l.first == nil {
		l.first = new([wheelSize]*Entry[T])
	}
	e.slot = slotID(1 + level*wheelSize + slot)
	e.before, e.after = nil, l.first[slot]
	if e.after != nil {
		e.after.before = e
	}
	l.first[slot] = e
	l.filled |= 1 << slot
	w.entries++
}

// remove takes an entry out, if it is there.
func (w *wheel[T]) remove(e *Entry[T]) {
	if e.slot == 0 {
		return
	}
	l, slot := &w.level[int(e.slot-1)/wheelSize], int(e.slot-1)%wheelSize
	if e.before != nil {
		e.before.after = e.after
	} else {
		l.first[slot] = e.after
		if e.after == nil {
			l.filled &^= 1 << slot
		}
	}
	if e.after != nil {
		e.after.before = e.before
	}
	e.before, e.after, e.slot = nil, nil, 0
	w.entries--
}

// begin is the tick at which the first filled slot of a level begins.
func (w *wheel[T]) begin(level int) (tick int64, slot int) {
	slot = bits.TrailingZeros64(w.level[level].filled)
	circle := int64(1)<<((level+1)*slotBits) - 1
	return w.cursor&^circle | int64(slot)<<(level*slotBits), slot
}

// due is when the next step has something to do: not after the next death.
func (w *wheel[T]) due() int64 {
	due := Never
	for level := range w.level {
		if w.level[level].filled != 0 {
			tick, _ := w.begin(level)
			due = min(due, tick<<tickBits)
		}
	}
	return due
}

// step does the next piece of work: it returns an entry that is dead, which
// the caller removes, or moves one to a lower level. more is false when there
// is nothing left to do at this time.
//
// When a slot of a higher level has come, those of the lower ones are empty or
// not due: so moving the cursor there leaves nothing behind.
func (w *wheel[T]) step(now int64, dies func(*Entry[T]) int64) (dead *Entry[T], more bool) {
	for level := range w.level {
		if w.level[level].filled == 0 {
			continue
		}
		tick, slot := w.begin(level)
		if tick > now>>tickBits {
			continue
		}
		w.cursor = max(w.cursor, tick)
		e := w.level[level].first[slot]
		death := deathTick(dies(e))
		if death <= now>>tickBits {
			return e, true
		}
		w.remove(e)
		w.add(e, death)
		return nil, true
	}
	return nil, false
}
