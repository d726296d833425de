package natstransport

import (
	"errors"
	"fmt"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// maxKeptKeys is for how many keys of a request memory is kept.
const maxKeptKeys = 16

// body is a request whose value has not come as a whole. It has a place.
type body struct {
	request wire.Incoming // of the goroutine that has the duty to read
	heard   time.Time
}

// begin serves a request when it is complete, or refuses it. What the member
// knows without waiting is answered at once, and needs no place.
func (v *conversation) begin(call wire.Call) error {
	if call.Exchange <= v.begun {
		return fmt.Errorf("%w: exchange %d after %d", wire.ErrMalformed, call.Exchange, v.begun)
	}
	v.begun = call.Exchange
	if err := v.understand(call); err != nil {
		refusal, typed := errors.AsType[*gcnode.Error](err)
		if !typed {
			return err
		}
		v.refuse(call.Exchange, refusal)
		return nil
	}
	req := v.request.Complete()
	var reply gcnode.Reply
	prompt := false
	if req != nil {
		reply, prompt = v.s.answerNow(v.ctx, req)
	}
	if prompt && reply.Value.Len() <= maxHeld && v.answer(call.Exchange, &reply) {
		return nil
	}
	v.request.Own()
	if err := v.s.place(); err != nil {
		v.refuse(call.Exchange, err)
		return nil
	}
	if req == nil {
		v.keep(call.Exchange)
		return nil
	}
	next := *req // whose memory is used again
	next.Keys = append([]string(nil), req.Keys...)
	if cap(req.Keys) > maxKeptKeys {
		v.request = wire.Incoming{}
	}
	j := job{req: &next}
	if prompt {
		j.reply = new(reply)
	}
	v.start(call.Exchange, j)
	return nil
}

// understand takes the request of a call.
func (v *conversation) understand(call wire.Call) error {
	if call.Key != nil {
		return v.request.StartLike(call.Key)
	}
	return v.request.Start(call.Request)
}

// answer sends a reply that is the whole answer, unless so much is pending that
// it has to wait.
func (v *conversation) answer(id uint64, r *gcnode.Reply) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pending() >= maxPending {
		return false
	}
	v.s.counts.requests.Add(1)
	v.append(func(b []byte) []byte { return wire.AppendEnd(appendReply(b, id, r), id, nil) })
	return true
}

// appendReply appends a reply without further pieces. One that is over a limit is
// replaced by an error that says so.
func appendReply(b []byte, id uint64, r *gcnode.Reply) []byte {
	out, err := wire.AppendReply(b, id, r)
	if refused, ok := errors.AsType[*gcnode.Error](err); ok {
		out, _ = wire.AppendReply(b, id, &gcnode.Reply{Key: r.Key, ListHash: r.ListHash, Err: refused})
	}
	return append(out.Head, out.Data...)
}

// keep waits for the rest of the request that was started.
func (v *conversation) keep(id uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		<-v.s.places
		return
	}
	v.bodies[id] = &body{request: v.request, heard: time.Now()}
	v.request = wire.Incoming{}
}

// addPiece adds to the value of a request, and serves it when it is complete.
func (v *conversation) addPiece(call wire.Call) error {
	v.mu.Lock()
	b := v.bodies[call.Exchange]
	if b != nil {
		b.heard = time.Now()
	}
	v.mu.Unlock()
	if b == nil {
		return nil // it was refused, or abandoned
	}
	if err := b.request.Add(call.Piece); err != nil {
		return err
	}
	req := b.request.Complete()
	if req == nil {
		return nil
	}
	v.mu.Lock()
	complete := v.bodies[call.Exchange] == b
	delete(v.bodies, call.Exchange)
	v.mu.Unlock()
	if complete {
		v.start(call.Exchange, job{req: req})
	}
	return nil
}

// drop forgets a request that is not complete.
func (v *conversation) drop(id uint64) {
	v.mu.Lock()
	v.dropLocked(id)
	over := v.leaving && len(v.exchanges)+len(v.bodies) == 0
	v.mu.Unlock()
	if over {
		v.finish()
	}
}

// dropLocked is drop. The conversation is locked.
func (v *conversation) dropLocked(id uint64) {
	if v.bodies[id] != nil {
		delete(v.bodies, id)
		<-v.s.places
	}
}

// start serves a request, which has a place.
func (v *conversation) start(id uint64, j job) {
	j.x = newExchange(v, id, j.req)
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		j.x.cancel()
		<-v.s.places
		return
	}
	v.exchanges[id] = j.x
	v.shared = v.shared || len(v.exchanges) > 1
	v.mu.Unlock()
	v.s.counts.requests.Add(1)
	select {
	case v.s.work <- j:
	default:
		go v.s.serveJobs(j)
	}
}

// refuse answers a request that is not begun.
func (v *conversation) refuse(id uint64, e *gcnode.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.append(func(b []byte) []byte { return wire.AppendRefusal(b, id, e) })
}

// job is an exchange that is to be served.
type job struct {
	x     *exchange
	req   *gcnode.Request
	reply *gcnode.Reply // the answer, if it is known
}

// serveJobs serves exchanges, of which it has the first. A goroutine that has
// served one has the stack that the next one needs, so a few stay.
func (s *Server) serveJobs(next job) {
	for {
		next.x.run(next)
		if s.spare.Add(1) > maxSpare {
			s.spare.Add(-1)
			return
		}
		select {
		case next = <-s.work:
			s.spare.Add(-1)
		case <-s.ctx.Done():
			return
		}
	}
}
