package guest

import (
	"context"
	"slices"
	"time"
)

// A Handler answers one key. It does not panic.
type Handler func(ctx context.Context, key string) Answer

// An Answer is what the node is told about a request.
type Answer struct {
	Status    int32
	TTLMillis int64
	Bytes     []byte
}

// statusPermanent is the status of an answer that the handler did not give.
const statusPermanent = 3

// A request is one key that the node asks for.
type request struct {
	id       int32
	over     bool   // it was answered, or nobody waits for it
	inFlight int    // its fetches
	then     func() // is called when it is over, unless it is nil
	yielded  time.Time

	// The context.
	done  chan struct{}
	after map[*func()]bool
}

func (in *instance) newRequest(id int32) *request {
	in.open++
	return &request{id: id}
}

// begin leaves a request to the runner.
func (in *instance) begin(r *request) { in.queue = append(in.queue, r) }

// next is a request that nobody serves yet, or nil.
func (in *instance) next() *request {
	for len(in.queue) > 0 {
		r := in.queue[0]
		in.queue = slices.Delete(in.queue, 0, 1)
		if !r.over {
			return r
		}
	}
	return nil
}

// serve is what a goroutine does for a request.
func (r *request) serve() {
	defer r.exited()
	key, err := running.readKey(r.id)
	if err != nil {
		r.fail("read the key: " + err.Error())
		return
	}
	r.answer(running.handle(r, key))
}

// exited answers a request whose getter did not.
func (r *request) exited() {
	if !r.over {
		r.fail("the getter ended its goroutine with runtime.Goexit")
	}
}

func (r *request) fail(message string) {
	r.answer(Answer{Status: statusPermanent, Bytes: []byte(message)})
}

// answer tells the node, unless it does not want to know any more. A value that
// it finds too large is an answer too.
func (r *request) answer(a Answer) {
	if !r.over {
		respond(r.id, a.Status, 0, a.TTLMillis, pointer(a.Bytes), int32(len(a.Bytes)))
		r.close()
	}
}

// close forgets the request, and its fetches as the node does.
func (r *request) close() {
	r.finish()
	running.open--
	delete(running.requests, r.id)
	if r.inFlight > 0 {
		running.dropFetches(r)
	}
	if r.then != nil {
		r.then()
	}
	running.unpark()
}
