package natstransport

import (
	"errors"
	"fmt"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// window is how many bytes of a stream are on their way before the other
	// side has taken some.
	window = wire.StreamWindow
	// maxPending is how much waits for being sent before what is not urgent
	// has to wait.
	maxPending = 256 << 10
	// maxPacketData bounds the data of a packet, so that large streams leave
	// room for others between.
	maxPacketData = 128 << 10
	// minPayload is the least maximum payload of a server with which streams
	// get on.
	minPayload = 1 << 10
	// headRoom is where the head of a packet goes, before its data.
	headRoom = wire.MaxPacketFields
	// keptBytes is how much memory is kept for further data, also when there was
	// no need of it for a while.
	keptBytes = 64 << 10
)

var (
	errLost    = errors.New("NATS messages were lost")
	errTooMuch = errors.New("more came than may be on its way")
	errAgain   = errors.New("no more has come yet")
)

// line is one end of a stream: bytes in both directions, in numbered packets.
// A packet that is missing ends it, and nothing is sent twice; whoever uses the
// line begins anew with another one.
//
// Its first fields are those that change with whatever is added: the fewer cache
// lines they lie in the less there is to be moved when somebody on another
// processor is next.
type line struct {
	mu      sync.Mutex
	closed  bool // nothing more is sent but last
	busy    bool // somebody has the duty to publish what there is
	lingers bool // the publisher will look at it in a moment
	shared  bool // several exchanges are under way, or were a moment ago
	held    bool // nothing is sent yet: it is not known where to
	patient bool // of a session: what is pending are questions that wait for others
	enough  bool // of them have gathered
	control bool

	// What is sent: buf from off on, after room for a head.
	buf    []byte
	off    int
	out    uint64 // bytes that were sent
	theirs uint64 // of them, which the other side has taken

	added     int    // messages since the last packet
	questions int    // of a session, since the last packet
	asked     uint64 // bytes up to the last question that was sent

	pub   *publisher
	to    string // subject of what is sent
	reply string // subject for what comes; empty: the other side knows it
	// failed is told why nothing more can be sent. It closes the line.
	failed func(error)
	last   *gcnode.Error

	most     int // of buf in use at a time, since trim
	number   uint64
	ping     bool
	sentOnce bool          // since it was last asked
	at       string        // to be sent with the next packet
	more     chan struct{} // closed when there is room in buf; nil: nobody waits
	whenLess func()        // called once when there is room in buf
	whenSent func()        // called once when nothing is pending

	// What comes.
	came  uint64 // packets
	got   int    // bytes that came and were not taken
	taken uint64 // bytes
	told  uint64 // of them, which the other side knows of
}

func (l *line) init(pub *publisher, failed func(error)) {
	l.pub, l.failed, l.buf, l.off = pub, failed, make([]byte, headRoom), headRoom
}

// room is how many bytes may be sent. The line is locked.
func (l *line) room() int { return window - int(l.out-l.theirs) }

// pending is how much waits for being sent. The line is locked.
func (l *line) pending() int { return len(l.buf) - l.off }

// kick has the publisher look at the line, unless somebody is at it. If there are
// others who may add something, they have time for that. The line is locked.
func (l *line) kick() {
	switch {
	case l.busy:
	case !l.shared || l.enough || l.closed:
		l.busy = true
		l.pub.add(l)
	case !l.lingers:
		l.lingers = true
		l.pub.linger(l)
	}
}

// lingered gives the duty to publish what others had time to add to, if it is
// still there and nobody has the duty.
func (l *line) lingered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lingers = false
	return l.ready() && l.acquire()
}

// ready reports whether there is something to be published. The line is locked.
func (l *line) ready() bool {
	return !l.closed && (l.control || l.sendable()) || l.closed && l.last != nil
}

// acquire takes the duty to publish, and reports whether nobody had it. The line is
// locked.
func (l *line) acquire() bool {
	if l.busy {
		return false
	}
	l.busy = true
	return true
}

// release ends the duty to publish; the publisher has it next if there is
// something left. The line is locked.
func (l *line) release() {
	l.busy = false
	if l.ready() {
		l.kick()
	}
}

// sendable reports whether there is something to be sent now. The line is locked.
func (l *line) sendable() bool {
	return !l.held && !l.patient && l.pending() > 0 && l.room() > 0
}

// hold keeps the publisher from the line while more is likely to be added, and
// reports whether nobody has the duty to publish. Then letGo or publishNow has to
// follow. The line is locked.
func (l *line) hold() bool {
	if !l.acquire() {
		return false
	}
	l.pub.apart()
	return true
}

// letGo leaves it to the publisher to publish what there is. The line is locked.
func (l *line) letGo() {
	l.release()
	l.pub.back()
}

// publishNow publishes in the goroutine of the caller.
func (l *line) publishNow() {
	l.pub.publish(l)
	l.pub.back()
}

// append adds to what is sent. The line is locked.
func (l *line) append(fill func([]byte) []byte) {
	l.patient = false
	l.add(fill)
}

// add is append of what may wait if all that is pending does. The line is locked.
func (l *line) add(fill func([]byte) []byte) {
	if l.closed {
		return
	}
	l.buf = fill(l.buf)
	l.added++
	if l.lingers {
		l.pub.added.Add(1)
	}
	if l.sendable() {
		l.kick()
	}
}

// full returns what to wait for when too much is pending, or nil. The line is
// locked.
func (l *line) full() <-chan struct{} {
	if l.closed || l.pending() < maxPending {
		return nil
	}
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.more
}

// relax lets those go on who wait for room. The line is locked.
func (l *line) relax() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// next is the next packet, with the subject that it goes to; nil: there is
// none. It is valid until sent is called. size is how many bytes of data are in it.
// The caller has the duty to publish.
func (l *line) next(limit int) (to string, packet []byte, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := wire.Packet{Number: l.number + 1, Taken: l.taken, Ping: l.ping, At: l.at}
	if l.closed {
		if l.last == nil || l.to == "" {
			return "", nil, 0
		}
		p.Close, l.last = l.last, nil
		return l.to, wire.AppendPacket(nil, &p), 0
	}
	if !l.held {
		size = min(l.pending(), l.room(), maxPacketData, limit-headRoom)
	}
	if size <= 0 && !l.control {
		return "", nil, 0
	}
	l.number++
	l.shared, l.added = l.added > 1, 0
	l.told, l.control, l.ping, l.sentOnce = l.taken, false, false, true
	if size <= 0 || p.At != "" {
		l.at = ""
		return l.to, wire.AppendPacket(nil, &p), 0
	}
	var room [headRoom]byte
	head := wire.AppendPacketHead(room[:0], &p, size)
	start := l.off - len(head)
	copy(l.buf[start:], head)
	l.off += size
	l.out += uint64(size)
	if l.questions > 0 {
		l.questions, l.asked = 0, l.out
	}
	l.patient, l.enough = false, false // what is left has been waiting for its turn
	return l.to, l.buf[start:l.off:l.off], size
}

// unsent takes back what next has returned, which is to be sent again in
// smaller packets.
func (l *line) unsent(size int) {
	l.mu.Lock()
	if !l.closed {
		l.off -= size
		l.out -= uint64(size)
		l.number--
		l.control = true
	}
	l.mu.Unlock()
}

// sent says that the packet which next has returned is not needed any more. The
// caller loses the duty to publish; who has it next begins with what is left.
func (l *line) sent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.release()
	l.most = max(l.most, l.off)
	switch rest := l.pending(); {
	case l.closed:
	case rest == 0:
		l.buf, l.off = l.buf[:headRoom], headRoom
	case l.off >= maxPending: // it would grow as long as something is pending
		copy(l.buf[headRoom:], l.buf[l.off:])
		l.buf, l.off = l.buf[:headRoom+rest], headRoom
	}
	if l.pending() < maxPending {
		l.relax()
		if resume := l.whenLess; resume != nil {
			l.whenLess = nil
			resume()
		}
	}
	if done := l.whenSent; done != nil && l.pending() == 0 {
		l.whenSent = nil
		done()
	}
}

// trim gives memory back of which there was no need since it was last called. The
// line is locked.
func (l *line) trim() {
	if !l.busy && !l.closed && l.pending() == 0 && l.most <= keptBytes && cap(l.buf) > keptBytes {
		l.buf, l.off = make([]byte, headRoom), headRoom
	}
	l.most = 0
}

// arrived notes a packet, the data of which is to be taken now. The line is
// locked.
func (l *line) arrived(p *wire.Packet) error {
	switch {
	case p.Number != l.came+1:
		return fmt.Errorf("%w: packet %d after %d", errLost, p.Number, l.came)
	case l.got+len(p.Data) > window:
		return errTooMuch
	}
	l.came++
	l.got += len(p.Data)
	if p.Ping {
		l.control = true
		l.kick()
	}
	return nil
}

// allow learns how much of what was sent the other side has taken. The line is
// locked.
func (l *line) allow(taken uint64) error {
	switch {
	case taken > l.out:
		return fmt.Errorf("%w: %d bytes were taken of %d", wire.ErrMalformed, taken, l.out)
	case taken <= l.theirs:
		return nil
	}
	l.theirs = taken
	if l.sendable() {
		l.kick()
	}
	return nil
}

// take notes that bytes which came were taken. The line is locked.
func (l *line) take(n int) {
	l.got -= n
	l.taken += uint64(n)
	if l.taken-l.told >= window/4 && !l.closed {
		l.control = true
		l.kick()
	}
}

// close ends the line, and tells the other side why unless last is nil. It is
// false if that was done before. The line is locked.
func (l *line) close(last *gcnode.Error) bool {
	if l.closed {
		return false
	}
	l.closed, l.last, l.buf, l.off = true, last, nil, 0
	l.relax()
	if last != nil {
		l.kick()
	}
	return true
}
