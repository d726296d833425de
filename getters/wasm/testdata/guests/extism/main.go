//go:build wasip1

// Command extism is an Extism module for tests: the key says what it does, as
// a verb and arguments after colons.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoadByte(offset uint64) uint32

//go:wasmimport extism:host/env input_load_u64
func inputLoadWord(offset uint64) uint64

//go:wasmimport extism:host/env output_set
func outputSet(offset, length uint64)

//go:wasmimport extism:host/env error_set
func errorSet(offset uint64)

//go:wasmimport extism:host/env alloc
func alloc(length uint64) uint64

//go:wasmimport extism:host/env free
func free(offset uint64)

//go:wasmimport extism:host/env length
func length(offset uint64) uint64

//go:wasmimport extism:host/env load_u8
func loadByte(offset uint64) uint32

//go:wasmimport extism:host/env load_u64
func loadWord(offset uint64) uint64

//go:wasmimport extism:host/env store_u8
func storeByte(offset uint64, b uint32)

//go:wasmimport extism:host/env store_u64
func storeWord(offset, word uint64)

//go:wasmimport extism:host/env config_get
func configGet(name uint64) uint64

//go:wasmimport extism:host/env var_get
func varGet(name uint64) uint64

//go:wasmimport extism:host/env var_set
func varSet(name, value uint64)

//go:wasmimport extism:host/env http_request
func httpRequest(request, body uint64) uint64

//go:wasmimport extism:host/env http_status_code
func httpStatus() int32

//go:wasmimport extism:host/env http_headers
func httpHeaders() uint64

//go:wasmimport extism:host/env log_trace
func logTrace(line uint64)

//go:wasmimport extism:host/env log_info
func logInfo(line uint64)

//go:wasmimport extism:host/env log_error
func logError(line uint64)

//go:wasmimport extism:host/env get_log_level
func logLevel() int32

//go:wasmimport extism:host/user gcnode_ttl
func ttl(millis int64)

//go:wasmimport extism:host/user gcnode_not_found
func notFound()

func main() {}

// started is what the module can do before it is asked for a key.
var started string

func init() { started = string(read(configGet(write([]byte("greeting"))))) }

//go:wasmexport get
func get() int32 {
	verb, rest, _ := strings.Cut(string(input()), ":")
	value, err := do(verb, rest)
	if err != nil {
		errorSet(write([]byte(err.Error())))
		return 1
	}
	outputSet(write(value), uint64(len(value)))
	return 0
}

//go:wasmexport shout
func shout() int32 {
	value := []byte(strings.ToUpper(string(input())))
	outputSet(write(value), uint64(len(value)))
	return 0
}

func do(verb, rest string) ([]byte, error) {
	switch verb {
	case "echo":
		return []byte(rest), nil
	case "started":
		return []byte(started), nil
	case "config":
		return read(configGet(write([]byte(rest)))), nil
	case "env":
		return []byte(os.Getenv(rest)), nil
	case "now":
		return []byte(strconv.FormatInt(time.Now().UnixMilli(), 10)), nil
	case "count": // how often this instance was asked to count
		n, _ := strconv.Atoi(string(variable(rest)))
		value := strconv.Itoa(n + 1)
		varSet(write([]byte(rest)), write([]byte(value)))
		return []byte(value), nil
	case "uncount":
		varSet(write([]byte(rest)), 0)
		return variable(rest), nil
	case "ttl":
		millis, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return nil, err
		}
		ttl(millis)
		return []byte("for a while"), nil
	case "none":
		if millis, err := strconv.ParseInt(rest, 10, 64); err == nil {
			ttl(millis)
		}
		notFound()
		return []byte("nothing of this is seen"), nil
	case "fail":
		return []byte("nothing of this is seen"), fmt.Errorf("it is broken: %s", rest)
	case "exit":
		os.Exit(3)
	case "level":
		return []byte(strconv.Itoa(int(logLevel()))), nil
	case "log":
		logTrace(write([]byte("trace " + rest)))
		logInfo(write([]byte("info " + rest)))
		logError(write([]byte("error " + rest)))
		return nil, nil
	case "fetch":
		return fetch(rest), nil
	case "status": // of a fetch that another call made
		return []byte(strconv.Itoa(int(httpStatus())) + string(read(httpHeaders()))), nil
	}
	return nil, fmt.Errorf("unknown verb %q", verb)
}

// fetch posts "body" to a URL and returns all that there is to the answer.
func fetch(url string) []byte {
	request, _ := json.Marshal(map[string]any{"url": url, "method": "post", "headers": map[string]string{"X-Asked": "yes"}})
	body := read(httpRequest(write(request), write([]byte("body"))))
	headers := map[string]string{}
	if err := json.Unmarshal(read(httpHeaders()), &headers); err != nil {
		return []byte(err.Error())
	}
	return fmt.Appendf(nil, "%d %s %s", httpStatus(), headers["x-answer"], body)
}

func variable(name string) []byte { return read(varGet(write([]byte(name)))) }

func input() []byte {
	b := make([]byte, 0, inputLength()+8)
	for at := uint64(0); at+8 <= inputLength(); at += 8 {
		b = binary.LittleEndian.AppendUint64(b, inputLoadWord(at))
	}
	for at := uint64(len(b)); at < inputLength(); at++ {
		b = append(b, byte(inputLoadByte(at)))
	}
	return b
}

// read takes a block over.
func read(offset uint64) []byte {
	n := length(offset)
	b := make([]byte, 0, n+8)
	for at := uint64(0); at+8 <= n; at += 8 {
		b = binary.LittleEndian.AppendUint64(b, loadWord(offset+at))
	}
	for at := uint64(len(b)); at < n; at++ {
		b = append(b, byte(loadByte(offset+at)))
	}
	free(offset)
	return b
}

func write(b []byte) uint64 {
	offset := alloc(uint64(len(b)))
	at := 0
	for ; at+8 <= len(b); at += 8 {
		storeWord(offset+uint64(at), binary.LittleEndian.Uint64(b[at:]))
	}
	for ; at < len(b); at++ {
		storeByte(offset+uint64(at), uint32(b[at]))
	}
	return offset
}
