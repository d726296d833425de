package model

import (
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// set is a set of small numbers: of nodes, of which the lowest is the owner of
// the key, or of writes.
type set uint8

// of is the set of the numbers.
func of(numbers ...int) (s set) {
	for _, i := range numbers {
		s |= 1 << i
	}
	return s
}

func (s set) has(i int) bool    { return s>>i&1 == 1 }
func (s set) with(i int) set    { return s | 1<<i }
func (s set) without(i int) set { return s &^ (1 << i) }
func (s set) covers(o set) bool { return o&^s == 0 }
func (s set) first() (i int)    { return bits.TrailingZeros8(uint8(s)) }
func (s set) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(s.first()) {
				return
			}
		}
	}
}

// String lists the numbers.
func (s set) String() string {
	var parts []string
	for i := range s.all() {
		parts = append(parts, strconv.Itoa(i))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
