package guest

import (
	"errors"
	"fmt"
)

// The imports of the guest ABI. Those that a module does not reach are not in
// it: a getter that never fetches needs no grant.

//go:wasmimport gcnode1 input_read
func inputRead(id int32, dst *byte, off, n int32) int32

//go:wasmimport gcnode1 respond
func respond(req, status, flags int32, ttlMillis int64, ptr *byte, n int32) int32

//go:wasmimport gcnode1 log
func writeLog(level int32, line string)

//go:wasmimport gcnode1 log_level
func logLevel() int32

//go:wasmimport gcnode1 fetch_start
func fetchStart(req int32, ptr *byte, n int32) int32

//go:wasmimport gcnode1 yield
func yieldStart(req int32) int32

//go:wasmimport gcnode1 kv_get
func kvGet(key string, dst *byte, n int32) int32

//go:wasmimport gcnode1 kv_set
func kvSet(key string, ptr *byte, n int32, ttlMillis int64) int32

// The levels of the node's log.
const (
	Debug int32 = iota
	Info
	Warn
	Error
)

// Log writes a line to the node's log.
func Log(level int32, line string) { writeLog(level, line) }

// LogLevel is the lowest level that is recorded.
func LogLevel() int32 { return logLevel() }

// StoreGet returns what is stored under a key.
func StoreGet(key string) (value []byte, found bool) {
	for {
		size := kvGet(key, pointer(value), int32(len(value)))
		switch {
		case size < 0:
			return nil, false
		case int(size) <= len(value):
			return value[:size], true
		}
		value = make([]byte, size) // which another instance may change meanwhile
	}
}

// StoreSet stores a value for ttlMillis, -1: as long as there is room, 0: not
// any more. The result is false if there is no room at all.
func StoreSet(key string, value []byte, ttlMillis int64) bool {
	return kvSet(key, pointer(value), int32(len(value)), ttlMillis) == 0
}

// The results of fetch_start that are no number of a call.
const fetchesUsedUp = -3

// The errors of Fetch.
var (
	ErrNoRequest = errors.New("no request to fetch for")
	ErrUsedUp    = errors.New("the request has used up its fetches")
	ErrRefused   = errors.New("the node refused the fetch")
)

// readKey reads the key of a request.
func (in *instance) readKey(req int32) (string, error) {
	size := inputRead(req, pointer(in.scratch[:]), 0, int32(len(in.scratch)))
	if size <= int32(len(in.scratch)) {
		return string(in.scratch[:max(size, 0)]), keyError(size)
	}
	key, err := readInput(req, size)
	return string(key), err
}

// keyError is the error of reading a key of that size.
func keyError(size int32) error {
	if size < 0 {
		return errors.New("the node has none")
	}
	return nil
}

// readInput reads a whole input whose size is known.
func readInput(id, size int32) ([]byte, error) {
	if size < 0 {
		return nil, fmt.Errorf("input of %d bytes", size)
	}
	b := make([]byte, size)
	if n := inputRead(id, pointer(b), 0, size); n != size {
		return nil, fmt.Errorf("input of %d bytes reads as %d", size, n)
	}
	return b, nil
}

// pointer returns the address of the first byte, or nil.
func pointer(b []byte) *byte {
	if len(b) == 0 {
		return nil
	}
	return &b[0]
}
