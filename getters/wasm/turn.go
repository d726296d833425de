package wasm

import (
	"maps"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// A turn is one call into the guest by the goroutine that holds the instance:
// gcnode_get for a new request, gcnode_get_many for several, or gcnode_resume
// for one that is pending. The guest may answer any open request of the
// instance meanwhile.

// The results of gcnode_get and gcnode_resume.
const (
	turnDone    = 0
	turnPending = 1
)

// answer lets the guest begin to answer one key. The verdict says whether the
// instance can be used again. The request is pending if it is not answered and
// stopped is nil.
func (in *instance) answer(r *request, d deadline) (verdict discardReason, stopped *stop) {
	if in.extism != nil {
		return in.answerExtism(r, d)
	}
	in.begin(r, d)
	defer in.end()
	if stopped := in.sweep(); stopped != nil {
		return stopped.reason, stopped
	}
	in.calls++
	in.stack = [3]uint64{api.EncodeI32(r.id), uint64(len(r.key))}
	if err := in.runNow(in.get, in.stack[:2]); err != nil {
		stopped := stopOf(err)
		return stopped.reason, stopped
	}
	return in.settle(exportGet)
}

// resumeWith hands the guest the answer to a fetch of a request that is
// pending.
func (in *instance) resumeWith(a arrival, d deadline) (verdict discardReason, stopped *stop) {
	in.begin(a.req, d)
	defer in.end()
	if stopped := in.sweep(); stopped != nil {
		return stopped.reason, stopped
	}
	if a.req.answered { // while the guest was told about others
		return in.wear(), nil
	}
	in.landed(a.req, 1)
	if a.call == a.req.yielding {
		a.req.yielding = 0
	}
	in.keepAnswer(a.call, a.answer)
	defer delete(in.answers, a.call)
	in.stack = [3]uint64{api.EncodeI32(a.req.id), api.EncodeI32(a.call), uint64(len(a.answer))}
	if err := in.runNow(in.resume, in.stack[:]); err != nil {
		stopped := stopOf(err)
		return stopped.reason, stopped
	}
	return in.settle(exportResume)
}

// answerMany lets the guest begin to answer the keys of a batch, whose requests
// are pending from the beginning.
func (in *instance) answerMany(batch []*request, message []byte, d deadline) (verdict discardReason, stopped *stop) {
	in.begin(nil, d)
	defer in.end()
	if stopped := in.sweep(); stopped != nil {
		return stopped.reason, stopped
	}
	in.calls += len(batch)
	in.fuelLeft *= int64(len(batch))
	for _, r := range batch {
		in.park(r)
	}
	in.message = message
	defer func() { in.message = nil }()
	in.stack = [3]uint64{api.EncodeI32(batch[0].id), uint64(len(batch)), uint64(len(message))}
	if err := in.runNow(in.getMany, in.stack[:]); err != nil {
		stopped := stopOf(err)
		return stopped.reason, stopped
	}
	result := api.DecodeI32(in.stack[0])
	pending := slices.ContainsFunc(batch, func(r *request) bool { return !r.answered })
	switch {
	case result < 0:
		stopped = brokeContract("%s failed with the result %d", exportGetMany, result)
	case pending && result == turnDone:
		stopped = brokeContract("%s returned %d without an answer to every key", exportGetMany, turnDone)
	case pending && (result != turnPending || in.resume == nil), !pending && result != turnDone:
		stopped = brokeContract("%s returned %d", exportGetMany, result)
	case len(in.requests) > 0 && in.inFlight == 0:
		stopped = brokeContract("%s returned %d with no fetch in flight", exportGetMany, turnPending)
	default:
		return in.wear(), nil
	}
	return stopped.reason, stopped
}

func (in *instance) begin(r *request, d deadline) {
	in.current, in.deadline = r, d
	most := in.plugin.opts.MaxFuel
	in.rationed, in.fuelLeft = most > 0, most
	if r != nil {
		in.fuelLeft -= r.fuel
	}
}

func (in *instance) end() {
	if in.rationed && in.current != nil {
		in.current.fuel = in.plugin.opts.MaxFuel - in.fuelLeft
	}
	in.current, in.deadline, in.rationed = nil, deadline{}, false
}

// settle compares the result of an export with what the guest did.
func (in *instance) settle(export string) (verdict discardReason, stopped *stop) {
	r := in.current
	if stopped := in.checkResult(export, api.DecodeI32(in.stack[0])); stopped != nil {
		return stopped.reason, stopped
	}
	if !r.answered {
		in.park(r)
	}
	if len(in.requests) > 0 && in.inFlight == 0 {
		return discardContract, in.stranded(export)
	}
	return in.wear(), nil
}

// stranded is what becomes of the current request when nothing is in flight
// that could resume the requests that are pending: only its own is its fault.
func (in *instance) stranded(export string) *stop {
	if in.current.answered {
		return nil
	}
	return brokeContract("%s returned %d with no fetch in flight", export, turnPending)
}

func (in *instance) checkResult(export string, result int32) *stop {
	switch {
	case result < 0:
		return brokeContract("%s failed with the result %d", export, result)
	case result > turnPending, result == turnPending && in.resume == nil:
		return brokeContract("%s returned %d, want %d", export, result, turnDone)
	case result == turnPending && in.current.answered:
		return brokeContract("%s returned %d for a request that it has answered", export, turnPending)
	case result == turnDone && !in.current.answered:
		return brokeContract("%s returned %d without an answer", export, turnDone)
	default:
		return nil
	}
}

// park keeps a request between turns.
func (in *instance) park(r *request) {
	if r.visit == nil {
		r.visit = newVisit(&in.deadline, 1)
	}
	if in.requests == nil {
		in.requests = map[int32]*request{}
	}
	in.requests[r.id] = r
}

// known is the request with a number, or nil: the current one, which may be
// answered, or one that is pending.
func (in *instance) known(id int32) *request {
	if r := in.current; r != nil && r.id == id {
		return r
	}
	return in.requests[id]
}

// find is the open request with a number, or nil.
func (in *instance) find(id int32) *request {
	if r := in.known(id); r != nil && !r.answered {
		return r
	}
	return nil
}

// over forgets what belongs to a request that was answered, and tells its
// goroutine if that is not the one that holds the instance.
func (in *instance) over(r *request) {
	in.forget(r)
	if _, parked := in.requests[r.id]; !parked {
		return
	}
	delete(in.requests, r.id)
	if r != in.current {
		r.visit.answered <- r
	}
}

// forget drops the answers to fetches of a request and those in flight.
func (in *instance) forget(r *request) {
	for _, call := range r.calls {
		delete(in.answers, call)
	}
	r.calls = r.calls[:0]
	in.landed(r, r.inFlight)
}

// landed takes n fetches of a request off those in flight.
func (in *instance) landed(r *request, n int) {
	r.inFlight -= n
	in.inFlight -= n
}

// keepAnswer makes the answer to a fetch readable.
func (in *instance) keepAnswer(call int32, answer []byte) {
	if in.answers == nil {
		in.answers = map[int32][]byte{}
	}
	in.answers[call] = answer
}

// abandon notes that nobody waits for some requests any more. Its caller need
// not hold the instance.
func (in *instance) abandon(requests map[int32]*request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.abandoned = slices.AppendSeq(in.abandoned, maps.Values(requests))
}

// sweep tells the guest which requests nobody waits for any more. It looks at the
// clock if that took time.
func (in *instance) sweep() *stop {
	in.mu.Lock()
	abandoned := in.abandoned
	in.abandoned = nil
	in.mu.Unlock()
	if len(abandoned) == 0 {
		return nil
	}
	defer in.deadline.look()
	for _, r := range abandoned {
		if in.requests[r.id] != r {
			continue // it was answered all the same
		}
		in.forget(r)
		delete(in.requests, r.id)
		if in.cancel == nil {
			continue
		}
		in.stack[0] = api.EncodeI32(r.id)
		if err := in.run(in.cancel, in.stack[:1]); err != nil {
			return stopOf(err)
		}
	}
	return nil
}
