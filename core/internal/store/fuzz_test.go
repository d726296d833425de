package store_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// FuzzStore compares a store with a map and the rules:
//
//   - what is found is what was set last, has not been removed since, and has
//     not expired;
//   - what has just been set is there, unless it was rejected for its size;
//   - the memory is within the limit after each step;
//   - what it counts is what it holds (Check);
//   - the counters explain how many entries there are.
//
// The input is a kind of store and a list of steps of four bytes: what to do, two bytes
// with the key, and a size.
func FuzzStore(f *testing.F) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 0))
		steps := make([]byte, 4*600)
		for i := range steps {
			steps[i] = byte(rng.Uint32())
		}
		f.Add(byte(seed*23), steps) // every limit, and many graces
	}
	var large []byte // each twice, so that it is stored though it is large
	for key := range byte(200) {
		large = append(large, 12, key, 0, 0xff, 12, key, 0, 0xff)
	}
	f.Add(byte(2), large)
	f.Add(byte(9), bytes.Repeat([]byte{0, 1, 1, 0xff}, 500))
	f.Fuzz(func(t *testing.T, kind byte, steps []byte) {
		limit := []int64{store.MinBytes, 64 << 10, 200_000}[kind%3]
		shards := []int{1, 2, 8}[kind%3]
		grace := int64(kind>>4) * 10
		var now clock
		s := store.NewSharded(store.Options{MaxBytes: limit, Now: now.now, Grace: grace}, shards)
		model := map[string]store.Entry{}
		var stored, replaced, removed uint64
		for ; len(steps) >= 4; steps = steps[4:] {
			op, key := steps[0], strconv.Itoa(int(binary.LittleEndian.Uint16(steps[1:])%1500))
			if op&0x80 != 0 {
				key = strings.Repeat(key, 40)
			}
			size := int(steps[3]) * int(steps[3]) / 16
			if steps[3] == 0xff {
				size = int(limit) / 5 * int(op%8) / 4
			}
			switch op % 16 {
			case 0:
				_, known := model[key]
				alive := known && !over(model[key], int64(now), grace)
				got := s.Remove(key)
				if got && !alive {
					t.Fatalf("removed %q, which is not in the model or has expired", key)
				}
				if got {
					removed++
				}
				delete(model, key)
			case 1, 2:
				now += clock(size)
			case 3:
				if op == 0x73 {
					s.Clear()
					clear(model)
				}
			case 4, 5, 6, 7, 8:
				e, ok := s.Get(key)
				if want, known := model[key]; ok && (!known || e != want || over(want, int64(now), grace)) {
					t.Fatalf("key %q at %d: got %d bytes until %d, %v; want %v, %d bytes until %d, %v",
						key, now, len(e.Value), e.Expires, e.Stamp, known, len(want.Value), want.Expires, want.Stamp)
				}
			default:
				e := store.Entry{Value: strings.Repeat(string(rune('a'+len(steps)%26)), size), Expires: store.Never}
				switch op % 4 {
				case 1:
					e.Expires = int64(now) + int64(steps[3])*10
				case 2:
					e.NotFound = true
				}
				if op&0x10 != 0 {
					e.Stamp = store.Stamp{Time: int64(len(steps)), Incarnation: uint64(op)}
				}
				delete(model, key)
				before := s.Stats()
				if !s.Set(key, e) {
					if int64(size)+int64(len(key)) < limit/100/8 {
						t.Fatalf("%d bytes were rejected, with a limit of %d", size, limit)
					}
					removed += s.Stats().Removed - before.Removed
					break
				}
				stored++
				replaced += s.Stats().Replaced - before.Replaced
				model[key] = e
				if _, ok := s.Get(key); ok == over(e, int64(now), grace) {
					t.Fatalf("key %q, %d bytes, has just been set: found %v", key, size, ok)
				}
			}
			if st := s.Stats(); st.Bytes > limit {
				t.Fatalf("%d bytes, with a limit of %d", st.Bytes, limit)
			}
			if err := store.Check(s); err != nil {
				t.Fatalf("after step %x: %v", steps[:4], err)
			}
		}
		st := s.Stats()
		keys := slices.Sorted(s.Keys())
		if len(keys) != st.Entries || len(slices.Compact(keys)) != st.Entries {
			t.Fatalf("%d keys, %d of them different, stats %+v", len(keys), len(slices.Compact(keys)), st)
		}
		for _, key := range keys {
			if _, ok := model[key]; !ok {
				t.Fatalf("key %q is not in the model, which has %d", key, len(slices.Collect(maps.Keys(model))))
			}
		}
		if sum := st.Evicted + st.Expired + st.Removed + st.Replaced + uint64(st.Entries); sum != stored {
			t.Fatalf("%d were stored, %d are explained: %+v", stored, sum, st)
		}
		if st.Replaced != replaced {
			t.Fatalf("%d were replaced, %+v", replaced, st)
		}
	})
}

// over reports whether an entry is of no use any more.
func over(e store.Entry, now, grace int64) bool {
	return e.Expires != store.Never && now-grace >= e.Expires
}
