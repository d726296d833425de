package remote

import (
	"fmt"
	"strings"
)

// keyBytes is the length of keys.
const keyBytes = 16

// Keys are keys whose values have the same length, at least that of a key.
type Keys struct {
	Count, Bytes int
}

// Content is what a server has.
type Content []Keys

// Want is an answer that is expected: the key over and over again, up to a
// length.
type Want struct {
	Key   string
	Bytes int
	// Whole compares all of the value. Otherwise it is the length and the
	// first bytes, which show answers that were mixed up.
	Whole bool
}

// Wants are what is wanted of the keys from first on.
func (k Keys) Wants(first, n int) []Want {
	wants := make([]Want, n)
	for i := range wants {
		wants[i] = Want{Key: fmt.Sprintf("%08d%08d", k.Bytes, first+i), Bytes: k.Bytes}
	}
	return wants
}

// value is the value of the key.
func (w Want) value() string {
	return strings.Repeat(w.Key, w.Bytes/keyBytes+1)[:w.Bytes]
}

// wants are what is wanted of all keys.
func (c Content) wants() []Want {
	var all []Want
	for _, keys := range c {
		all = append(all, keys.Wants(0, keys.Count)...)
	}
	return all
}

// values are the values of all keys.
func (c Content) values() map[string][]byte {
	values := map[string][]byte{}
	for _, want := range c.wants() {
		values[want.Key] = []byte(want.value())
	}
	return values
}

// bytes is the size of all keys and values.
func (c Content) bytes() int64 {
	var sum int64
	for _, keys := range c {
		sum += int64(keys.Count) * int64(keyBytes+keys.Bytes)
	}
	return sum
}

// check fails if the value is not the one that is wanted. It allocates nothing.
func check[T string | []byte](w Want, value T) error {
	if len(value) != w.Bytes || string(value[:keyBytes]) != w.Key {
		return fmt.Errorf("key %q: got %d bytes that begin with %q, want %d bytes of the key",
			w.Key, len(value), value[:min(len(value), keyBytes)], w.Bytes)
	}
	// What comes after the first key is what comes before the last one.
	if w.Whole && string(value[keyBytes:]) != string(value[:len(value)-keyBytes]) {
		return fmt.Errorf("key %q: only the beginning of the value is right", w.Key)
	}
	return nil
}
