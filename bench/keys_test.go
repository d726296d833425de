package bench_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// valueBytes is the size of the values.
const valueBytes = 128

// value is what every key has.
func value() string { return strings.Repeat("v", valueBytes) }

// zipfKeys are n draws from as many keys as distinct, the popular ones more
// often: a Zipf distribution with the exponent 1.01, in an order that is the
// same in every run.
func zipfKeys(distinct, n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.01, 1, uint64(distinct-1))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = keyOf(int(z.Uint64()))
	}
	return keys
}

// keyOf is the i-th key, of 16 bytes.
func keyOf(i int) string {
	s := strconv.Itoa(i)
	return "key-" + strings.Repeat("0", 12-len(s)) + s
}
