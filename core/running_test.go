package gcnode

import "testing"

func TestWhatIsRunningIsWaitedFor(t *testing.T) {
	r := newRunning()
	idle := func() bool {
		select {
		case <-r.idle:
			return true
		default:
			return false
		}
	}
	if !r.begin() {
		t.Fatal("not begun")
	}
	r.end()
	if !r.begin() || idle() {
		t.Fatal("it was idle before it was closed")
	}
	r.close()
	r.end()
	if r.begin() {
		t.Error("begun on what is closed")
	}
	if idle() {
		t.Error("idle while the last piece runs")
	}
	r.beginMore()
	r.end()
	if idle() {
		t.Error("idle while what it has begun runs")
	}
	r.end()
	if !idle() {
		t.Error("not idle when all has ended")
	}
	if r.begin() || !idle() {
		t.Error("begun on what is idle")
	}
}
