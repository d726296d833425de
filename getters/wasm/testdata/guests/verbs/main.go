//go:build wasip1

// Command verbs is a getter for tests: the key says what it does, as a verb
// and arguments after colons.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

//go:wasmimport gcnode1 input_read
func inputRead(id int32, dst unsafe.Pointer, off, length int32) int32

//go:wasmimport gcnode1 respond
func respond(req, status, flags int32, ttlMillis int64, ptr unsafe.Pointer, length int32) int32

//go:wasmimport gcnode1 config_get
func configGet(key unsafe.Pointer, keyLen int32, dst unsafe.Pointer, capacity int32) int32

//go:wasmimport gcnode1 log
func logLine(level int32, ptr unsafe.Pointer, length int32)

//go:wasmimport gcnode1 log_level
func logLevel() int32

//go:wasmimport gcnode1 now_ms
func nowMillis() int64

//go:wasmimport gcnode1 monotonic_ns
func monotonicNanos() int64

//go:wasmimport gcnode1 fetch
func fetch(req int32, ptr unsafe.Pointer, length int32) int32

func main() {}

//go:wasmexport gcnode_abi_1
func marker() {}

var configuration []byte

//go:wasmexport gcnode_configure
func configure(length int32) int32 {
	configuration = read(0)
	if len(configuration) != int(length) {
		return 2
	}
	if reason := config("refuse"); reason != "" {
		if logLevel() <= 3 {
			for line := range strings.SplitSeq(reason, ";") {
				say(3, line)
			}
			say(2, "only a warning")
		}
		return 1
	}
	return 0
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// read is the whole input with a number.
func read(id int32) []byte {
	size := inputRead(id, nil, 0, 0)
	if size < 0 {
		return nil
	}
	b := make([]byte, size)
	inputRead(id, pointer(b), 0, size)
	return b
}

func config(key string) string {
	k := []byte(key)
	b := make([]byte, 4<<10)
	n := configGet(pointer(k), int32(len(k)), pointer(b), int32(len(b)))
	return string(b[:max(n, 0)])
}

func say(level int32, line string) {
	b := []byte(line)
	logLine(level, pointer(b), int32(len(b)))
}

var kept [][]byte

//go:wasmexport gcnode_get
func get(req, keyLen int32) int32 {
	var buf [128]byte
	key := buf[:]
	if int(keyLen) > len(key) {
		key = make([]byte, keyLen)
	}
	key = key[:keyLen]
	inputRead(req, pointer(key), 0, keyLen)
	answer := func(status int32, ttl int64, value []byte) int32 {
		return respond(req, status, 0, ttl, pointer(value), int32(len(value)))
	}
	if string(key) == "hit" {
		answer(0, -1, key)
		return 0
	}
	verb, rest, _ := strings.Cut(string(key), ":")
	number, _ := strconv.Atoi(rest)
	switch verb {
	case "echo":
		answer(0, -1, []byte(rest))
	case "answer": // answer:status:ttl:message
		parts := strings.SplitN(rest, ":", 3)
		status, _ := strconv.Atoi(parts[0])
		ttl, _ := strconv.ParseInt(parts[1], 10, 64)
		answer(int32(status), ttl, []byte(parts[2]))
	case "size":
		answer(0, -1, make([]byte, number))
	case "config":
		answer(0, -1, []byte(config(rest)))
	case "configuration":
		answer(0, -1, configuration)
	case "env":
		answer(0, -1, []byte(strings.Join(os.Environ(), ",")))
	case "file":
		_, err := os.ReadFile(rest)
		answer(0, -1, []byte(fmt.Sprint(err)))
	case "clock":
		answer(0, -1, fmt.Appendf(nil, "%d %d %d", nowMillis(), time.Now().UnixMilli(), monotonicNanos()))
	case "sleep":
		time.Sleep(time.Duration(number) * time.Millisecond)
		answer(0, -1, []byte("awake"))
	case "log": // log:level:line
		level, line, _ := strings.Cut(rest, ":")
		n, _ := strconv.Atoi(level)
		say(int32(n), line)
		answer(0, -1, []byte(strconv.Itoa(int(logLevel()))))
	case "print":
		fmt.Println(rest)
		fmt.Fprint(os.Stderr, rest)
		answer(0, -1, nil)
	case "flood":
		for i := range number {
			say(1, "line "+strconv.Itoa(i))
		}
		answer(0, -1, nil)
	case "spin":
		for {
		}
	case "recurse":
		answer(0, -1, []byte(strconv.Itoa(deeper(number))))
	case "hold": // allocates and keeps it
		kept = append(kept, make([]byte, number))
		answer(0, -1, nil)
	case "corrupt": // all of its memory from an address on
		for at := uintptr(number); ; at += 4 {
			*(*uint32)(unsafe.Pointer(at)) = 0xa5a5a5a5
		}
	case "panic":
		panic(rest)
	case "exit":
		os.Exit(number)
	case "silent":
	case "fail":
		return int32(number)
	case "gosched":
		runtime.Gosched()
		answer(0, -1, nil)
	case "fetch": // fetch:timeout:max:method:url|name=value|...|body
		answer(0, -1, exchange(req, rest))
	case "twice": // two exchanges, the answer of the second
		exchange(req, rest)
		answer(0, -1, exchange(req, rest))
	case "stale":
		msg := encode(rest)
		number := fetch(req, pointer(msg), int32(len(msg)))
		before := inputRead(number, nil, 0, 0)
		answer(0, -1, nil)
		say(1, fmt.Sprint("stale: ", before > 0, " ", inputRead(number, nil, 0, 0)))
	case "drain": // as many failing exchanges as it says, the number of the last one
		last := int32(0)
		for range number {
			msg := encode("0:0:GET:nowhere")
			last = fetch(req, pointer(msg), int32(len(msg)))
		}
		answer(0, -1, append([]byte(strconv.Itoa(int(last-req))+" "), read(last)...))
	case "badfetch":
		answer(0, -1, []byte(strconv.Itoa(int(fetch(req, pointer([]byte("nonsense")), 8)))))
	case "latefetch":
		answer(0, -1, nil)
		msg := encode(rest)
		say(1, "late fetch: "+strconv.Itoa(int(fetch(req, pointer(msg), int32(len(msg))))))
	default:
		answer(3, -1, []byte("no such verb: "+verb))
	}
	return 0
}

func deeper(n int) int {
	if n == 0 {
		return 0
	}
	return deeper(n-1) + 1
}

// exchange performs the exchange that the arguments describe.
func exchange(req int32, args string) []byte {
	msg := encode(args)
	return read(fetch(req, pointer(msg), int32(len(msg))))
}

// encode is the fetch message that the arguments describe.
func encode(args string) []byte {
	parts := strings.Split(args, "|")
	head := strings.SplitN(parts[0], ":", 4)
	timeout, _ := strconv.Atoi(head[0])
	limit, _ := strconv.Atoi(head[1])
	method, url := head[2], head[3]
	body := ""
	fields := parts[1:]
	if len(fields) > 0 {
		body, fields = fields[len(fields)-1], fields[:len(fields)-1]
	}
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(len(method)))
	b = le.AppendUint16(b, uint16(len(fields)))
	b = le.AppendUint32(b, uint32(len(url)))
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, uint32(timeout))
	b = le.AppendUint32(b, uint32(limit))
	b = append(b, method+url...)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		b = le.AppendUint16(b, uint16(len(name)))
		b = le.AppendUint32(b, uint32(len(value)))
		b = append(b, name+value...)
	}
	return append(b, body...)
}
