package natstransport

import (
	"errors"
	"fmt"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// body is a request whose value has not come as a whole. It has a place.
type body struct {
	request wire.Incoming // of the goroutine that has the duty to read
	heard   time.Time
}

// begin serves a request when it is complete, or refuses it.
func (v *conversation) begin(call wire.Call) error {
	if call.Exchange <= v.begun {
		return fmt.Errorf("%w: exchange %d after %d", wire.ErrMalformed, call.Exchange, v.begun)
	}
	v.begun = call.Exchange
	b := &body{heard: time.Now()}
	if err := b.request.Start(call.Request); err != nil {
		refusal, typed := errors.AsType[*gcnode.Error](err)
		if !typed {
			return err
		}
		v.refuse(call.Exchange, refusal)
		return nil
	}
	if err := v.s.place(); err != nil {
		v.refuse(call.Exchange, err)
		return nil
	}
	if req := b.request.Complete(); req != nil {
		v.start(call.Exchange, req)
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		<-v.s.places
		return nil
	}
	v.bodies[call.Exchange] = b
	return nil
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
		v.start(call.Exchange, req)
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
func (v *conversation) start(id uint64, req *gcnode.Request) {
	x := newExchange(v, id, req)
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		x.cancel()
		<-v.s.places
		return
	}
	v.exchanges[id] = x
	v.mu.Unlock()
	v.s.counts.requests.Add(1)
	select {
	case v.s.work <- job{x, req}:
	default:
		go v.s.serveJobs(job{x, req})
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
	x   *exchange
	req *gcnode.Request
}

// serveJobs serves exchanges, of which it has the first. A goroutine that has
// served one has the stack that the next one needs, so a few stay.
func (s *Server) serveJobs(next job) {
	for {
		next.x.run(next.req)
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
