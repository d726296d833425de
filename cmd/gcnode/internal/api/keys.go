package api

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxKeysBody bounds the body that lists keys, in bytes: every byte of the keys
// can take six (\u0000), and what is around each key some more.
const maxKeysBody = 6*gcnode.MaxBatchBytes + 64*gcnode.MaxBatchKeys

// parseKeys reads a list of keys, each a [Text]: a JSON array, or one after the
// other as in newline-delimited JSON. An error is a [*refused].
func parseKeys(text string) ([]string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	start := strings.TrimLeft(text, " \t\r\n")
	if start == "" {
		return nil, malformed(`the body is empty: list the keys, as ["a","b"] or one on each line; no key at all is []`)
	}
	list := keyList{}
	if start[0] != '[' {
		for {
			if err := list.next(decoder); errors.Is(err, io.EOF) {
				return list.keys, nil
			} else if err != nil {
				return nil, err
			}
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, malformed("the body is not JSON: %v", err)
	}
	for decoder.More() {
		if err := list.next(decoder); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, malformed("the array of keys does not end: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("something follows the array of keys")
	}
	return list.keys, nil
}

// keyList is the keys that were read, within the limits of a batch.
type keyList struct {
	keys  []string
	bytes int
}

// next reads one key; [io.EOF] is the end.
func (l *keyList) next(decoder *json.Decoder) error {
	var raw json.RawMessage
	switch err := decoder.Decode(&raw); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return malformed("after %d keys the body is not JSON: %v", len(l.keys), err)
	}
	key, err := readText(raw)
	if err != nil {
		return malformed("key %d: %v", len(l.keys), err)
	}
	if len(key) > gcnode.MaxKeyBytes {
		return tooLarge("key %d has %d bytes; at most %d are allowed", len(l.keys), len(key), gcnode.MaxKeyBytes)
	}
	l.keys, l.bytes = append(l.keys, key), l.bytes+len(key)
	if len(l.keys) > gcnode.MaxBatchKeys {
		return tooLarge("there are more than %d keys, which are allowed", gcnode.MaxBatchKeys)
	}
	if l.bytes > gcnode.MaxBatchBytes {
		return tooLarge("the keys have more than %d bytes in all, which are allowed", gcnode.MaxBatchBytes)
	}
	return nil
}
