package guest

import (
	"context"
	"fmt"
)

// A fetch is in flight.
type fetch struct {
	request *request
	answer  chan []byte // has room for one
}

// Fetch performs one exchange in terms of encoded messages, for the request
// that ctx belongs to. Other goroutines run meanwhile, and other requests are
// begun.
func Fetch(ctx context.Context, message []byte) ([]byte, error) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return nil, ErrNoRequest
	}
	if r.over { // and ctx was detached from it
		return nil, r.Err()
	}
	call := fetchStart(r.id, pointer(message), int32(len(message)))
	switch {
	case call == fetchesUsedUp:
		return nil, ErrUsedUp
	case call <= 0:
		return nil, fmt.Errorf("%w with code %d", ErrRefused, call)
	}
	f := running.begun(call, r)
	select {
	case answer := <-f.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.Done():
		return nil, r.Err()
	}
}

func (in *instance) begun(call int32, r *request) *fetch {
	f := &fetch{request: r, answer: make(chan []byte, 1)}
	if in.fetches == nil {
		in.fetches = map[int32]*fetch{}
	}
	in.fetches[call] = f
	r.inFlight++
	in.unpark()
	return f
}

// deliver hands the answer to a fetch to the goroutine that waits for it, if it
// still does.
func (in *instance) deliver(call, size int32) error {
	f := in.fetches[call]
	if f == nil {
		return nil
	}
	delete(in.fetches, call)
	f.request.inFlight--
	answer, err := readInput(call, size)
	if err != nil {
		return fmt.Errorf("read the answer to a fetch: %w", err)
	}
	f.answer <- answer
	return nil
}

// dropFetches forgets the fetches of a request that is over.
func (in *instance) dropFetches(r *request) {
	for call, f := range in.fetches {
		if f.request == r {
			delete(in.fetches, call)
		}
	}
	r.inFlight = 0
}
