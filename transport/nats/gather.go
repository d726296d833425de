package natstransport

import "time"

const (
	// manyCalls is from how many calls at a time on questions wait. Those of fewer go
	// together when their callers have got answers together.
	manyCalls = 24
	// crowdParts is into how many packets the questions of all callers go: while
	// those of one are on their way, or are answered, the other one gathers. With
	// more of them who asks and who answers are idle for less time, and spend it on
	// messages.
	crowdParts = 2
	// maxGathered is how many bytes of questions wait for others.
	maxGathered = 16 << 10
	// patience is for how long questions wait while the peer says nothing. One
	// that comes when the alarm is set for others may wait for twice as long.
	patience = time.Millisecond
	// maxHaste is for how many packets at most no question waits after some have
	// waited in vain.
	maxHaste = 1000
)

// gathering is what a session knows of its questions. Those of many callers
// share packets by the rule of Nagle ([RFC 896]), with a part of all callers in
// place of a full segment: as long as a packet is on its way of which the peer has
// not said that it has come, or its answers are being handed on, a question waits
// until that part has asked.
//
//	callers:  ask(1, 2)  ask(3, 4)             ask(1, 2)             ask(3, 4)
//	packets:  ───1, 2──▶ ───3, 4──▶ ◀──1, 2─── ───1, 2──▶ ◀──3, 4─── ───3, 4──▶
//
// What is on its way may be what the peer has to load. So nobody waits for long,
// and the more often somebody has waited in vain the longer nobody does.
//
// [RFC 896]: https://www.rfc-editor.org/rfc/rfc896
type gathering struct {
	crowd     int         // the most calls under way at a time, lately
	receiving bool        // answers are being handed on
	haste     int         // packets for which no question waits
	vain      int         // for how many it was the last time, less those that have not waited in vain since
	alarm     *time.Timer // looks after questions that wait; nil: there were none
	armed     bool        // it rings
	since     uint64      // beside armed, the last packet when it was set
}

// ask adds a question. The session is locked.
func (s *session) ask(fill func([]byte) []byte) {
	if s.questions == 0 {
		s.crowd -= s.crowd / 8
		s.haste = max(0, s.haste-1)
	}
	s.crowd = max(s.crowd, s.calls.n)
	s.questions++
	alone := s.patient || s.pending() == 0 // nothing else is to be sent
	s.patient = true
	s.add(fill)
	switch {
	case !s.enough && s.many() && s.questions >= s.crowd/crowdParts:
		s.enough = true
		s.worthIt()
	case !alone || !s.many() || !s.expects() || s.haste > 0 || s.pending() >= maxGathered:
		s.send()
	case !s.armed:
		s.setAlarm()
	}
}

// many reports whether so many are asking that questions wait. The session is
// locked.
func (s *session) many() bool { return s.crowd >= manyCalls }

// expects reports whether callers are likely to ask more in a moment. The session
// is locked.
func (s *session) expects() bool { return s.theirs < s.asked || s.receiving }

// send has what waits sent. The session is locked.
func (s *session) send() {
	s.patient = false
	if s.sendable() {
		s.kick()
	}
}

// received ends the time in which answers are handed on. The session is locked.
func (s *session) received() {
	s.receiving = false
	if s.patient && !s.expects() {
		s.worthIt()
	}
}

// worthIt has questions sent that have not waited in vain. The session is locked.
func (s *session) worthIt() {
	s.vain = max(0, s.vain-1)
	s.send()
}

func (s *session) setAlarm() {
	s.armed, s.since = true, s.line.number
	if s.alarm == nil {
		s.alarm = time.AfterFunc(patience, s.ring)
	} else {
		s.alarm.Reset(patience)
	}
}

// ring looks after questions that wait. Those that did so when the alarm was set
// are sent.
func (s *session) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	switch {
	case s.closed || !s.patient:
	case s.line.number == s.since:
		s.vain = min(2*s.vain+1, maxHaste)
		s.haste = 1 + s.vain // that which is sent now is the first one
		s.send()
	default:
		s.setAlarm()
	}
}
