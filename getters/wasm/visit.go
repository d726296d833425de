package wasm

import (
	"context"
	"errors"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// visit is a call of GetItem or GetItems whose requests outlast a call into
// the guest: its goroutine waits for them.
type visit struct {
	ctx    context.Context // of the fetches: ends with the visit
	cancel context.CancelFunc
	// arrived has the answers of fetches. Who sends gives up when ctx ends.
	arrived chan arrival
	// answered has the requests that the guest answered while it was not
	// called for them. There is room for all requests of the visit.
	answered chan *request
	open     map[int32]*request // used by the goroutine of the visit
}

// arrival is the answer to a fetch that the guest did not wait for, or an empty one
// to a yield.
type arrival struct {
	req    *request
	call   int32
	answer []byte
}

func newVisit(d *deadline, requests int) *visit {
	v := &visit{
		arrived:  make(chan arrival),
		answered: make(chan *request, requests),
		open:     make(map[int32]*request, requests),
	}
	v.ctx, v.cancel = d.context()
	return v
}

// arrive hands an answer to the goroutine of the visit, if it is still wanted.
func (v *visit) arrive(a arrival) {
	select {
	case v.arrived <- a:
	case <-v.ctx.Done():
	}
}

// expect adds a request that the visit waits for.
func (v *visit) expect(r *request) { v.open[r.id] = r }

// ending is called with a request of a visit that has ended.
type ending func(r *request, err error)

// await sees the open requests of a visit to their end: it resumes the guest
// with each answer that arrives. Nobody holds the instance meanwhile.
func (p *Plugin) await(s *slot[*instance], v *visit, d deadline, over ending) {
	defer v.cancel()
	p.stats.pending.Add(int64(len(v.open)))
	timer := time.NewTimer(time.Until(d.at))
	defer timer.Stop()
	end := func(r *request, err error) {
		p.stats.pending.Add(-1)
		delete(v.open, r.id)
		over(r, err)
	}
	for len(v.open) > 0 {
		select {
		case r := <-v.answered:
			if len(v.open) == 1 {
				p.leave(s)
			}
			end(r, r.failure())
		case a := <-v.arrived:
			p.resume(s, v, a, d, end)
		case <-s.item.dead:
			p.lost(s.item, v, end)
		case <-d.caller.Done():
			p.abandon(s, v, d.caller.Err(), end)
		case <-d.plugin.Done():
			p.abandon(s, v, errPoolClosed, end)
		case <-timer.C:
			p.abandon(s, v, errDeadline, end)
		}
	}
}

// resume hands an answer to the guest.
func (p *Plugin) resume(s *slot[*instance], v *visit, a arrival, d deadline, end ending) {
	begun := time.Now()
	err := p.pool.reacquire(d.caller, d.at, s)
	p.stats.queueTime.Add(int64(time.Since(begun)))
	switch {
	case errors.Is(err, errSlotGone):
		p.lost(s.item, v, end)
		return
	case err != nil:
		p.abandon(s, v, err, end)
		return
	}
	ended, stopped := p.resumed(s, v, a, d)
	switch {
	case stopped != nil && !a.req.refused():
		end(a.req, p.failed(a.req.key, stopped))
	case ended, stopped != nil:
		end(a.req, a.req.failure())
	}
}

// resumed resumes the guest, and gives the instance back. ended is true if the
// guest has answered now. What is too late is left to await to find out.
func (p *Plugin) resumed(s *slot[*instance], v *visit, a arrival, d deadline) (ended bool, stopped *stop) {
	verdict := discardTrap // if the guest does not return
	over := 0              // 1 if the visit is
	defer func() { p.checkIn(s, verdict, over) }()
	d.look()
	if a.req.answered || d.checkAt(d.seen) != nil {
		verdict = keep
		return false, nil
	}
	verdict, stopped = s.item.resumeWith(a, d)
	ended = stopped == nil && a.req.answered
	if ended && len(v.open) == 1 {
		over = 1
	}
	return ended, stopped
}

// abandon ends the requests of a visit that nobody waits for any more. The
// guest is told when it is called the next time.
func (p *Plugin) abandon(s *slot[*instance], v *visit, why error, end ending) {
	stopped := stopFor(why)
	if errors.Is(why, errQueueTime) {
		stopped = &stop{keep, gcnode.KindTimeout, why}
	}
	v.drain(end)
	if len(v.open) == 0 {
		p.leave(s)
		return
	}
	s.item.abandon(v.open)
	p.leave(s)
	for _, r := range v.open {
		end(r, p.failed(r.key, stopped))
	}
}

// lost ends the requests of a visit whose instance was discarded for what it
// did while it was called for another one.
func (p *Plugin) lost(in *instance, v *visit, end ending) {
	stopped := &stop{in.cause, gcnode.KindTransient, lostError(in.cause)}
	if in.cause == discardClosed {
		stopped.kind = gcnode.KindDraining
	}
	v.drain(end)
	for _, r := range v.open {
		end(r, p.failed(r.key, stopped))
	}
}

// drain ends the requests that were answered already.
func (v *visit) drain(end ending) {
	for len(v.answered) > 0 {
		r := <-v.answered
		end(r, r.failure())
	}
}

// leave ends a visit whose instance somebody else may hold.
func (p *Plugin) leave(s *slot[*instance]) {
	if p.pool.leave(s) {
		p.dispose(s.item, s.item.spentFor())
	}
}

// lostError is the reason why an instance was discarded.
type lostError discardReason

func (e lostError) Error() string {
	return "the instance that worked on it was discarded while it worked for another request (" + discardReason(e).String() + ")"
}
