package httptransport

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gcnode/gcnode/transport/wire"
)

// stretchBytes is how much of a body has to come within the time for one: all
// of it but for the value of a large set, so that a slow network can carry
// that, and still nobody can occupy a place for long with a few bytes.
const stretchBytes = wire.MaxFrameBytes

// deadlineReader reads a body that may be large, whose first stretch has a
// deadline, and gives each further stretch one of its own.
//
// What has come takes memory out of a budget: up to wire.GrowthFactor times as
// much, since that is how a value grows.
type deadlineReader struct {
	r       io.Reader
	control *http.ResponseController
	timeout time.Duration
	memory  *share
	most    int64 // how long the body can be
	came    int
	stretch int // how much of it came in this stretch
}

// Read implements [io.Reader].
func (d *deadlineReader) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	d.came += n
	d.stretch += n
	if full := d.memory.set(min(wire.GrowthFactor*int64(d.came), d.most)); full != nil {
		return n, full
	}
	if err != nil || d.stretch < stretchBytes { // after the end there must be no deadline
		return n, err
	}
	d.stretch = 0
	return n, setReadDeadline(d.control, d.timeout)
}

// setReadDeadline gives the server's connection timeout from now on to read.
func setReadDeadline(control *http.ResponseController, timeout time.Duration) error {
	if err := ignoreUnsupported(control.SetReadDeadline(time.Now().Add(timeout))); err != nil {
		return fmt.Errorf("set the read deadline: %w", err)
	}
	return nil
}
