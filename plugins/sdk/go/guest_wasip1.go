package getter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
)

// The imports of the guest ABI that this package uses. Those that a module does
// not reach are not in it: a getter that never calls Fetch needs no grant.

//go:wasmimport gcnode1 input_read
func inputRead(id int32, dst *byte, off, n int32) int32

//go:wasmimport gcnode1 respond
func respond(req, status, flags int32, ttlMillis int64, ptr *byte, n int32) int32

//go:wasmimport gcnode1 log
func writeLog(level int32, line string)

//go:wasmimport gcnode1 log_level
func logLevel() int32

//go:wasmimport gcnode1 fetch
func fetch(req int32, ptr *byte, n int32) int32

// instance is the state of this instance of the module. It is a variable of the
// package because the exports of a module have no other place to find it: the
// node calls them by name, and nothing it passes could lead to a Go value.
//
//nolint:gochecknoglobals // see above
var instance struct {
	open Open
	get  Func
}

// Register names the function that opens the getter. Call it from an init
// function, once: in a reactor nothing else of package main runs.
func Register(open Open) { instance.open = open }

// The exports are used by nodes, which tools that look for unused code do not
// know about.
var (
	_ = abi1
	_ = configure
	_ = get
)

//go:wasmexport gcnode_abi_1
func abi1() {}

//go:wasmexport gcnode_configure
func configure(size int32) int32 {
	defer runtime.Gosched()
	if err := configureWith(size); err != nil {
		guestSink{}.Log(slog.LevelError, err.Error())
		return 1
	}
	return 0
}

func configureWith(size int32) error {
	raw, err := readInput(0, size)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	config, err := decodeConfig(raw)
	if err != nil {
		return err
	}
	return openInstance(config)
}

func openInstance(config Config) error {
	if instance.open == nil {
		return errors.New("no getter: call getter.Register in an init function")
	}
	get, err := instance.open.open(&Env{Config: config, sink: guestSink{}})
	if err != nil {
		return err
	}
	instance.get = get
	return nil
}

// get answers one key. The Go runtime collects garbage in goroutines of its
// own, and an export returns to the node without running them: a guest that
// never yields can grow until it dies. So every call yields once, at its end.
//
//go:wasmexport gcnode_get
func get(req, keyLen int32) int32 {
	defer runtime.Gosched()
	if instance.get == nil {
		if err := openInstance(Config{}); err != nil {
			return send(req, Answer{Status: StatusPermanent, Message: err.Error()})
		}
	}
	key, err := readInput(req, keyLen)
	if err != nil {
		return send(req, Answer{Status: StatusPermanent, Message: "read key: " + err.Error()})
	}
	answer := instance.get.Answer(context.WithValue(context.Background(), requestKey{}, req), string(key))
	if answer.Stack != "" {
		guestSink{}.Log(slog.LevelError, answer.Message+"\n"+answer.Stack)
	}
	return send(req, answer)
}

// send answers a request and returns the result of the export.
func send(req int32, answer Answer) int32 {
	bytes := answer.Value
	if answer.Status != StatusOK {
		bytes = []byte(answer.Message)
	}
	const tooLarge = -2 // told to the callers by the node; the request is over
	if code := respond(req, int32(answer.Status), 0, ttlMillis(answer.TTL), pointer(bytes), int32(len(bytes))); code != 0 && code != tooLarge {
		return -1
	}
	return 0
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

// requestKey is the context key of a request's number.
type requestKey struct{}

// exchange performs one fetch in terms of encoded messages.
func exchange(ctx context.Context, message []byte) ([]byte, error) {
	req, ok := ctx.Value(requestKey{}).(int32)
	if !ok {
		return nil, errNoRequest
	}
	call := fetch(req, pointer(message), int32(len(message)))
	if call <= 0 {
		return nil, fmt.Errorf("%w: the node refused the fetch with code %d", ErrPermanent, call)
	}
	return readInput(call, inputRead(call, nil, 0, 0))
}

// guestSink writes to the node's log.
type guestSink struct{}

// Log implements logSink.
func (guestSink) Log(level slog.Level, line string) {
	switch {
	case level < slog.LevelInfo:
		writeLog(0, line)
	case level < slog.LevelWarn:
		writeLog(1, line)
	case level < slog.LevelError:
		writeLog(2, line)
	default:
		writeLog(3, line)
	}
}

// LogLevel implements logSink.
func (guestSink) LogLevel() slog.Level {
	switch n := logLevel(); {
	case n <= 0:
		return slog.LevelDebug
	case n == 1:
		return slog.LevelInfo
	case n == 2:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
