//go:build wasip1

// Command async is a getter for tests that returns while its fetches are under
// way: the key says what it does, as a verb and arguments after colons.
package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

//go:wasmimport gcnode1 input_read
func inputRead(id int32, dst unsafe.Pointer, off, length int32) int32

//go:wasmimport gcnode1 respond
func respond(req, status, flags int32, ttlMillis int64, ptr unsafe.Pointer, length int32) int32

//go:wasmimport gcnode1 fetch_start
func fetchStart(req int32, ptr unsafe.Pointer, length int32) int32

//go:wasmimport gcnode1 yield
func yield(req int32) int32

//go:wasmimport gcnode1 kv_get
func storeGet(key unsafe.Pointer, keyLen int32, dst unsafe.Pointer, capacity int32) int32

//go:wasmimport gcnode1 kv_set
func storeSet(key unsafe.Pointer, keyLen int32, ptr unsafe.Pointer, length int32, ttlMillis int64) int32

func main() {}

//go:wasmexport gcnode_abi_1
func marker() {}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// read is the whole input with a number.
func read(id int32) []byte {
	size := inputRead(id, nil, 0, 0)
	if size < 0 {
		return []byte("nothing")
	}
	b := make([]byte, size)
	inputRead(id, pointer(b), 0, size)
	return b
}

func answer(req int32, value string) int32 {
	b := []byte(value)
	return respond(req, 0, 0, -1, pointer(b), int32(len(b)))
}

// start begins to fetch a URL.
func start(req int32, url string) int32 {
	b := binary.LittleEndian.AppendUint32(nil, 3) // the length of the method, no fields
	b = binary.LittleEndian.AppendUint32(b, uint32(len(url)))
	b = append(b, make([]byte, 12)...)
	b = append(b, "GET"+url...)
	return fetchStart(req, pointer(b), int32(len(b)))
}

// body is the body of a fetch answer without header fields, or its failure.
func body(call int32) string {
	b := read(call)
	le := binary.LittleEndian
	if failure := le.Uint16(b[2:]); failure != 0 {
		return fmt.Sprintf("failure %d", failure)
	}
	rest := b[12:]
	for range le.Uint16(b[4:]) {
		rest = rest[6+int(le.Uint16(rest))+int(le.Uint32(rest[2:])):]
	}
	return string(rest)
}

// task is what a pending request still has to do.
type task struct {
	verb, arg string
	left      int // answers to come
	bodies    []string
	first     int32 // call
}

var (
	tasks     = map[int32]*task{}
	cancelled []int32
	followers []int32
)

//go:wasmexport gcnode_cancel
func cancel(req int32) {
	delete(tasks, req)
	cancelled = append(cancelled, req)
	answer(req, "that is not possible any more")
}

//go:wasmexport gcnode_get
func get(req, _ int32) int32 { return begin(req, string(read(req))) }

// begin answers a key, or returns 1.
func begin(req int32, key string) int32 {
	verb, arg, _ := strings.Cut(key, ":")
	t := &task{verb: verb, arg: arg, left: 1}
	switch verb {
	case "echo":
		answer(req, arg)
		return 0
	case "silent":
		return 0
	case "cancelled":
		answer(req, fmt.Sprint(len(cancelled), " ", len(tasks)))
		return 0
	case "strand":
		return 1
	case "lie":
		answer(req, "answered")
		return 1
	case "hasty": // answers with a fetch in flight
		start(req, arg)
		answer(req, "hasty")
		return 0
	case "follow": // is answered with the next one that leads
		followers = append(followers, req)
		return 1
	case "yield": // yield:n yields so often
		t.left, _ = strconv.Atoi(arg)
		yield(req)
	case "yields": // what is no yield
		codes := []int32{yield(req + 1), min(yield(req), 1), yield(req)}
		answer(req, fmt.Sprint(codes))
		return 0
	case "flood": // flood:n:url
		count, url, _ := strings.Cut(arg, ":")
		n, _ := strconv.Atoi(count)
		last := int32(0)
		for range n {
			last = start(req, url)
		}
		answer(req, strconv.Itoa(int(last)))
		return 0
	case "many": // many:n:url
		count, url, _ := strings.Cut(arg, ":")
		t.left, _ = strconv.Atoi(count)
		for i := range t.left {
			start(req, url+strconv.Itoa(i))
		}
	case "first": // is answered with what comes first
		start(req, arg)
		start(req, arg+"/wait")
	case "malformed":
		answer(req, strconv.Itoa(int(fetchStart(req, pointer([]byte("x")), 1))))
		return 0
	case "set": // set:ttl:key=value
		ttl, pair, _ := strings.Cut(arg, ":")
		n, _ := strconv.ParseInt(ttl, 10, 64)
		k, v, _ := strings.Cut(pair, "=")
		answer(req, strconv.Itoa(int(storeSet(pointer([]byte(k)), int32(len(k)), pointer([]byte(v)), int32(len(v)), n))))
		return 0
	case "stored":
		b := make([]byte, 8)
		n := storeGet(pointer([]byte(arg)), int32(len(arg)), pointer(b), int32(len(b)))
		answer(req, fmt.Sprintf("%d %s", n, b[:max(0, min(n, 8))]))
		return 0
	default: // fetch and those that do something special when they are resumed
		t.first = start(req, arg)
	}
	tasks[req] = t
	return 1
}

//go:wasmexport gcnode_resume
func resume(req, call, size int32) int32 {
	if n := inputRead(call, nil, 0, 0); n != size {
		panic("the size is wrong")
	}
	t := tasks[req]
	if t.verb == "yield" {
		if t.left--; t.left > 0 {
			yield(req)
			return 1
		}
		answer(req, fmt.Sprint("yielded ", size))
		return 0
	}
	t.bodies = append(t.bodies, body(call))
	t.left--
	switch t.verb {
	case "again": // fetches once more, and can not read the first answer then
		if len(t.bodies) == 1 {
			start(req, t.arg)
			return 1
		}
		answer(req, strings.Join(append(t.bodies, string(read(t.first))), ","))
	case "first":
		answer(req, t.bodies[0])
	case "spin":
		for {
		}
	case "panic":
		panic("told to")
	case "silentresume":
		return 0
	case "lead":
		for _, f := range followers {
			answer(f, "followed "+t.bodies[0])
		}
		followers = nil
		answer(req, t.bodies[0])
	default:
		if t.left > 0 {
			return 1
		}
		slices.Sort(t.bodies)
		answer(req, strings.Join(t.bodies, ","))
	}
	delete(tasks, req)
	return 0
}

//go:wasmexport gcnode_get_many
func getMany(base, count, size int32) int32 {
	message := read(0)
	if len(message) != int(size) {
		return -1
	}
	result := int32(0)
	for i := range count {
		n := binary.LittleEndian.Uint32(message)
		key := string(message[4 : 4+n])
		message = message[4+n:]
		if string(read(base+i)) != key {
			return -2
		}
		result = max(result, begin(base+i, key))
	}
	return result
}
