package wasm

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	maxSubscriptions  = 1024
	subscriptionBytes = 48
	eventBytes        = 32
)

// The kinds of events that a guest can wait for.
const (
	eventClock   = 0
	eventFdRead  = 1
	eventFdWrite = 2
)

// subscription is one event that a guest waits for.
type subscription struct {
	userData uint64
	kind     byte
	wait     time.Duration // for eventClock
	errno    uint16        // of an event that happens at once
}

// wasiPoll is how guests sleep. File descriptors never block, so an event for
// one of them happens at once.
func wasiPoll(in *instance, mem guestMemory, args []uint64) uint64 {
	count := uint64(uint32(args[2]))
	if count == 0 || count > maxSubscriptions {
		return wasiInvalid
	}
	input := mem.view(args[0], count*subscriptionBytes)
	subs := make([]subscription, 0, count)
	shortest := time.Duration(math.MaxInt64)
	for ; len(input) > 0; input = input[subscriptionBytes:] {
		s, ok := in.readSubscription(input)
		if !ok {
			return wasiInvalid
		}
		subs = append(subs, s)
		shortest = min(shortest, s.wait)
	}
	output := mem.view(args[1], count*eventBytes)
	happened := mem.view(args[3], 4)
	if shortest > 0 {
		in.sleep(shortest)
	}
	events := uint32(0)
	for _, s := range subs {
		if s.wait <= shortest {
			s.put(output[events*eventBytes:])
			events++
		}
	}
	binary.LittleEndian.PutUint32(happened, events)
	return wasiSuccess
}

// sleep waits, but not longer than the request may take: then the guest does
// not go on.
func (in *instance) sleep(length time.Duration) {
	begun := time.Now()
	in.deadline.sleep(length)
	in.waited(begun)
	if err := in.deadline.check(); err != nil {
		haltFor(err)
	}
}

func (in *instance) readSubscription(b []byte) (s subscription, ok bool) {
	le := binary.LittleEndian
	s = subscription{userData: le.Uint64(b), kind: b[8]}
	switch s.kind {
	case eventFdRead, eventFdWrite:
		if le.Uint32(b[16:]) > fdStderr {
			s.errno = wasiBadFile
		}
		return s, true
	case eventClock:
	default:
		return s, false
	}
	now, ok := in.clockNow(le.Uint32(b[16:]))
	if !ok {
		return s, false
	}
	nanos := le.Uint64(b[24:])
	if absolute := le.Uint16(b[40:])&1 != 0; absolute {
		nanos -= min(nanos, uint64(max(now, 0)))
	}
	s.wait = time.Duration(min(nanos, math.MaxInt64))
	return s, true
}

// put writes the event that s waited for.
func (s *subscription) put(b []byte) {
	clear(b[:eventBytes])
	binary.LittleEndian.PutUint64(b, s.userData)
	binary.LittleEndian.PutUint16(b[8:], s.errno)
	b[10] = s.kind
}
