package e2e_test

import (
	"bytes"
	"maps"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stopTime is how long a process may take to its end.
const stopTime = time.Minute

// killed is the exit status of a process that a signal ended.
const killed = -1

// process is a running gcnode. When the test ends it gets SIGTERM; then the
// exit status has to be want, and there may be no panic and no data race in its
// log.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    logBuffer
	exited chan struct{} // closed when it is gone

	mu   sync.Mutex
	want int // exit status
}

// processes are those that are running.
var processes = &registry{running: map[*process]bool{}}

// startProcess runs gcnode with arguments until the test ends.
func startProcess(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, name, append([]string{built.gcnode}, args...))
}

// startCommand runs a command that becomes gcnode until the test ends.
func startCommand(t *testing.T, name string, command []string) *process {
	t.Helper()
	p := &process{name: name, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(t.Context(), command[0], command[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Cancel = p.terminate
	p.cmd.WaitDelay = stopTime
	p.cmd.SysProcAttr = dieWithParent()
	require.NoError(t, p.cmd.Start())
	processes.add(p)
	go func() {
		_ = p.cmd.Wait() // the exit status says it all
		processes.remove(p)
		close(p.exited)
	}()
	t.Cleanup(func() {
		status := p.wait(t)
		p.mu.Lock()
		defer p.mu.Unlock()
		assert.Equal(t, p.want, status, "exit status of %s", name)
		assert.NotRegexp(t, `(?m)^panic: |^fatal error: |panic serving|panic while a peer was served|WARNING: DATA RACE`, p.log.String(), "log of %s", name)
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	return p
}

// terminate asks the process to end, also one that was stopped.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

// signal sends a signal to the process, which has to be there.
func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(sig), "%v to %s", sig, p.name)
}

// kill ends the process without warning.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.expect(killed)
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
}

// expect sets the exit status that the process has to have.
func (p *process) expect(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want = status
}

// wait returns the exit status as soon as the process is gone. One that does
// not end by itself is killed.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(stopTime):
		assert.Fail(t, "the process does not end", p.name)
		_ = p.cmd.Process.Kill() // it may have ended by now
		<-p.exited
	}
	return p.cmd.ProcessState.ExitCode()
}

// running reports whether the process is not gone.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// runProcess runs gcnode to its end, and returns what it wrote.
func runProcess(t *testing.T, status int, args ...string) string {
	t.Helper()
	p := startProcess(t, "gcnode "+args[0], args...)
	p.expect(status)
	p.wait(t)
	return p.log.String()
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is everything that was written so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// registry is a set of processes.
type registry struct {
	mu      sync.Mutex
	running map[*process]bool
}

func (r *registry) add(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[p] = true
}

func (r *registry) remove(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, p)
}

// killAll ends all processes and returns their names.
func (r *registry) killAll() []string {
	r.mu.Lock()
	left := slices.Collect(maps.Keys(r.running))
	r.mu.Unlock()
	names := make([]string, 0, len(left))
	for _, p := range left {
		_ = p.cmd.Process.Kill() // it may have ended by now
		<-p.exited
		names = append(names, p.name)
	}
	return names
}
