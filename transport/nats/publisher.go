package natstransport

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxYields is how often the publisher lets others add something before it sends.
const maxYields = 16

// publisher sends what lines have to send, in a goroutine of its own: NATS may
// keep whoever publishes waiting for the network. What callers add until it is
// their line's turn goes out in one message:
//
//	A: append, wait              ┄┄ woken
//	B: append, wait              ┄┄ woken
//	run:             publish(A, B)
type publisher struct {
	nc *nats.Conn

	mu     sync.Mutex
	queue  []*line
	spare  []*line
	shared bool // one in the queue has others who may add something
	others int  // who have the duty for a line
	kicked chan struct{}
	ended  bool
	done   chan struct{}

	added atomic.Uint64 // how often something was
}

var errDisconnected = errors.New("the connection to NATS is interrupted")

// newPublisher returns a publisher at work, until close.
func newPublisher(nc *nats.Conn) *publisher {
	p := &publisher{nc: nc, kicked: make(chan struct{}, 1), done: make(chan struct{})}
	go p.run()
	return p
}

// add puts a line, which is locked, into the queue.
func (p *publisher) add(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, l)
	p.shared = p.shared || l.shared && !l.enough
	if len(p.queue) == 1 {
		p.kick()
	}
}

// apart notes that somebody else has the duty for a line, which is locked, until
// back.
func (p *publisher) apart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others++
}

// back ends apart.
func (p *publisher) back() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others--
	if p.ended {
		p.kick()
	}
}

// kick wakes run. The publisher is locked.
func (p *publisher) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

// close ends the publisher when it has sent what is queued, and what others are
// at.
func (p *publisher) close() {
	p.mu.Lock()
	p.ended = true
	p.kick()
	p.mu.Unlock()
	<-p.done
}

func (p *publisher) run() {
	defer close(p.done)
	for range p.kicked {
		if p.isShared() {
			p.yield()
		}
		for {
			p.mu.Lock()
			lines := p.queue
			p.queue, p.spare = p.spare[:0], nil
			ended := p.ended && p.others == 0
			p.mu.Unlock()
			if len(lines) == 0 {
				if ended {
					return
				}
				break
			}
			for i, l := range lines {
				p.publish(l)
				lines[i] = nil
			}
			p.mu.Lock()
			p.spare = lines[:0]
			p.mu.Unlock()
		}
	}
}

// isShared reports whether there may be somebody who adds something.
func (p *publisher) isShared() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared := p.shared
	p.shared = false
	return shared
}

// yield lets others that are ready to run add something, as long as they do.
func (p *publisher) yield() {
	before := p.added.Load()
	for range maxYields {
		runtime.Gosched()
		now := p.added.Load()
		if now == before {
			return
		}
		before = now
	}
}

// publish sends the next packet of a line. The caller has the duty and loses it.
func (p *publisher) publish(l *line) {
	defer l.sent()
	limit := int(min(p.nc.MaxPayload(), maxPacketData+headRoom))
	to, packet, size := l.next(max(limit, minPayload))
	switch {
	case packet == nil:
		return
	case !p.nc.IsConnected(): // nothing of a stream outlives a connection
		l.failed(errDisconnected)
		return
	case limit < minPayload:
		l.failed(&gcnode.Error{Kind: gcnode.KindUnreachable, Err: fmt.Errorf(
			"the NATS server takes messages of %d bytes; streams need at least %d (max_payload)", limit, minPayload)})
		return
	}
	err := p.send(to, l.reply, packet)
	switch {
	case errors.Is(err, nats.ErrMaxPayload): // it is another server since limit was asked for
		l.unsent(size)
	case err != nil:
		l.failed(fmt.Errorf("publish: %w", err))
	}
}

// send publishes a packet, to which the other side may reply if there is a subject
// for that.
func (p *publisher) send(to, reply string, packet []byte) error {
	if reply != "" {
		return p.nc.PublishRequest(to, reply, packet)
	}
	return p.nc.Publish(to, packet)
}
