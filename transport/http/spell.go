package httptransport

import (
	"sync/atomic"
	"time"
)

// spell is a time in which something is not tried. The zero value is over.
type spell struct{ until atomic.Pointer[time.Time] }

func (s *spell) set(d time.Duration) {
	until := time.Now().Add(d)
	s.until.Store(&until)
}

func (s *spell) over() bool {
	until := s.until.Load()
	return until == nil || !time.Now().Before(*until)
}
