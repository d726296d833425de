package bench_test

import (
	"strings"

	"github.com/gcnode/gcnode/bench/trace"
)

const (
	// valueBytes is the size of the values, unless a benchmark says otherwise.
	valueBytes = 128
	keyBytes   = 16
	// draws is how many keys are drawn before a benchmark begins again with
	// the first; a power of two.
	draws = 1 << 20
	// zipfExponent is how uneven the keys' popularity is.
	zipfExponent = 0.99
)

// value is what every key has.
func value() string { return strings.Repeat("v", valueBytes) }

// zipfKeys are draws from as many keys as distinct, in an order that is the
// same in every run.
func zipfKeys(distinct int) []string {
	return keysOf(trace.Zipf(zipfExponent, distinct, draws))
}

// newKeys are the n keys from first on.
func newKeys(first, n int) []string {
	numbers := make([]uint32, n)
	for i := range numbers {
		numbers[i] = uint32(first + i)
	}
	return keysOf(numbers)
}

// keysOf are the keys of the numbers. They lie in memory one after the other,
// and none is the very string that a cache has stored: that would spare some
// of them a comparison, and never happens with keys out of requests.
func keysOf(numbers []uint32) []string {
	var b strings.Builder
	b.Grow(keyBytes * len(numbers))
	for _, n := range numbers {
		b.WriteString(keyOf(int(n)))
	}
	all := b.String()
	keys := make([]string, len(numbers))
	for i := range keys {
		keys[i] = all[i*keyBytes : (i+1)*keyBytes]
	}
	return keys
}

// keyOf is the i-th key, of 16 bytes.
func keyOf(i int) string {
	key := [keyBytes]byte{'k', 'e', 'y', '-'}
	for at := len(key) - 1; at > 3; at-- {
		key[at] = byte('0' + i%10)
		i /= 10
	}
	return string(key[:])
}
