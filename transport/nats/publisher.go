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

// publisher sends what lines have to send, in goroutines of its own: NATS may
// keep whoever publishes waiting for the network. What callers add until it is
// their line's turn goes out in one message:
//
//	A: append, wait              ┄┄ woken
//	B: append, wait              ┄┄ woken
//	run:             publish(A, B)
//
// A line to which others are likely to add something in a moment waits for that.
type publisher struct {
	nc *nats.Conn

	mu        sync.Mutex
	prompt    turns
	lingering turns
	others    int // who have the duty for a line, or may get it: those that linger
	ended     bool
	over      bool // nothing is prompt any more
	running   sync.WaitGroup

	added atomic.Uint64 // how often something was, to lines that linger
}

// turns are lines, in the order in which it is their turn.
type turns struct {
	queue  []*line
	spare  []*line
	kicked chan struct{}
}

var errDisconnected = errors.New("the connection to NATS is interrupted")

// newPublisher returns a publisher at work, until close.
func newPublisher(nc *nats.Conn) *publisher {
	p := &publisher{nc: nc}
	p.init()
	p.running.Go(p.runPrompt)
	p.running.Go(p.runLingering)
	return p
}

func (p *publisher) init() {
	p.prompt.kicked, p.lingering.kicked = make(chan struct{}, 1), make(chan struct{}, 1)
}

// add has a line published for which nobody else has the duty. The line is locked.
func (p *publisher) add(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prompt.add(l)
}

// linger has a line published that nobody has published when others had time to
// add something. The line is locked.
func (p *publisher) linger(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others++
	p.lingering.add(l)
}

// add puts a line into the queue. The publisher is locked.
func (t *turns) add(l *line) {
	t.queue = append(t.queue, l)
	if len(t.queue) == 1 {
		t.kick()
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

// kick wakes all who run. The publisher is locked.
func (p *publisher) kick() {
	p.prompt.kick()
	p.lingering.kick()
}

// kick wakes who runs. The publisher is locked.
func (t *turns) kick() {
	select {
	case t.kicked <- struct{}{}:
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
	p.running.Wait()
}

func (p *publisher) runPrompt() {
	p.run(&p.prompt, func() {}, p.publish, func() bool { return p.ended && p.others == 0 })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.lingering.kick()
}

// runLingering goes on for longer: what is prompt may linger after that.
func (p *publisher) runLingering() {
	p.run(&p.lingering, p.yield, func(l *line) {
		if l.lingered() {
			p.publish(l)
		}
		p.back()
	}, func() bool { return p.over })
}

// run publishes lines when it is their turn and wait has returned, until there are
// none and over, with the publisher locked, says that there will be no more.
func (p *publisher) run(t *turns, wait func(), publish func(*line), over func() bool) {
	for range t.kicked {
		wait()
		for {
			p.mu.Lock()
			lines := t.queue
			t.queue, t.spare = t.spare[:0], nil
			done := len(lines) == 0 && over()
			p.mu.Unlock()
			if done {
				return
			}
			if len(lines) == 0 {
				break
			}
			for i, l := range lines {
				publish(l)
				lines[i] = nil
			}
			p.mu.Lock()
			t.spare = lines[:0]
			p.mu.Unlock()
		}
	}
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
