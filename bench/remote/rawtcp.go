package remote

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
)

// rawTCP is the floor of everything that sends many requests over one
// connection: frames with a length and the number of the caller who waits,
// and nothing else of what a protocol needs.
func rawTCP() Contestant {
	return Contestant{
		Name: "raw-tcp",
		serve: func(content Content) (*server, error) {
			values := content.values()
			listener, err := listen()
			if err != nil {
				return nil, err
			}
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() { _ = answerFrames(conn, values) }()
				}
			}()
			return &server{addr: listener.Addr().String(), close: func() { _ = listener.Close() }}, nil
		},
		dial: func(ctx context.Context, addr string) (*Client, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			c := newFrameClient(conn)
			return &Client{Get: c.get, Close: conn.Close}, nil
		},
	}
}

const (
	// frameHeader has the length of what follows it, and the caller's number.
	frameHeader = 8
	// frameBuffer is how much is read or written at once, but for larger
	// values.
	frameBuffer = 64 << 10
	mostFrame   = 16 << 20
)

func appendHeader(dst []byte, number uint32, length int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
	return binary.LittleEndian.AppendUint32(dst, number)
}

// readFrame reads a frame, into buf if that is large enough.
func readFrame(r *bufio.Reader, buf []byte) (number uint32, payload []byte, err error) {
	header, err := r.Peek(frameHeader)
	if err != nil {
		return 0, nil, err
	}
	length := binary.LittleEndian.Uint32(header)
	number = binary.LittleEndian.Uint32(header[4:])
	if _, err := r.Discard(frameHeader); err != nil {
		return 0, nil, err
	}
	if length > mostFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", length)
	}
	if int(length) > cap(buf) {
		buf = make([]byte, length)
	}
	payload = buf[:length]
	_, err = io.ReadFull(r, payload)
	return number, payload, err
}

// answerFrames answers all requests that have arrived with one write. A value
// that is not there is answered by the end of the connection.
func answerFrames(conn net.Conn, values map[string][]byte) error {
	defer func() { _ = conn.Close() }()
	r, w := bufio.NewReaderSize(conn, frameBuffer), bufio.NewWriterSize(conn, frameBuffer)
	key := make([]byte, keyBytes)
	for {
		number, payload, err := readFrame(r, key)
		if err != nil {
			return err
		}
		value, ok := values[string(payload)]
		if !ok {
			return fmt.Errorf("there is no key %q", payload)
		}
		_, _ = w.Write(appendHeader(w.AvailableBuffer(), number, len(value))) // an error stays
		if _, err := w.Write(value); err != nil {
			return err
		}
		if r.Buffered() > 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// frameClient has many callers on one connection.
type frameClient struct {
	conn   net.Conn
	wake   chan struct{} // tells the writer that there is something to write
	broken chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	pending []byte    // frames to be written
	waiting []*waiter // by number
	free    []*waiter // those of them that nobody waits with
	err     error     // why the reader has ended
}

// waiter is where a caller waits for its answer.
type waiter struct {
	number uint32
	value  chan []byte
}

func newFrameClient(conn net.Conn) *frameClient {
	c := &frameClient{conn: conn, wake: make(chan struct{}, 1), broken: make(chan struct{})}
	go c.write()
	go c.read()
	return c
}

func (c *frameClient) get(ctx context.Context, want Want) error {
	c.mu.Lock()
	var w *waiter
	if n := len(c.free); n > 0 {
		w, c.free = c.free[n-1], c.free[:n-1]
	} else {
		w = &waiter{number: uint32(len(c.waiting)), value: make(chan []byte, 1)}
		c.waiting = append(c.waiting, w)
	}
	c.pending = append(appendHeader(c.pending, w.number, len(want.Key)), want.Key...)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case value := <-w.value:
		c.mu.Lock()
		c.free = append(c.free, w)
		c.mu.Unlock()
		return check(want, value)
	case <-ctx.Done():
		return ctx.Err()
	case <-c.broken:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	}
}

// write sends what all callers have to send, with one write.
func (c *frameClient) write() {
	var out []byte
	for {
		select {
		case <-c.wake:
		case <-c.broken:
			return
		}
		runtime.Gosched() // to callers that have something to send, too
		c.mu.Lock()
		out, c.pending = c.pending, out[:0]
		c.mu.Unlock()
		if _, err := c.conn.Write(out); err != nil {
			_ = c.conn.Close() // which ends the reader
			return
		}
	}
}

// read hands the answers to the callers.
func (c *frameClient) read() {
	defer close(c.broken)
	r := bufio.NewReaderSize(c.conn, frameBuffer)
	for {
		number, value, err := readFrame(r, nil)
		c.mu.Lock()
		if err == nil && int(number) >= len(c.waiting) {
			err = errors.New("an answer to nobody")
		}
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
		w := c.waiting[number]
		c.mu.Unlock()
		w.value <- value
	}
}
