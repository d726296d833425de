package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// stopTime is how long a node may take to drain before it is killed.
const stopTime = 10 * time.Second

// starter starts processes from one operating system thread that lives as
// long as it does: where the system ends children with their parent, it means
// the parent's thread.
type starter struct {
	requests chan startRequest
}

// startRequest asks for the start of a process.
type startRequest struct {
	cmd     *exec.Cmd
	started chan<- error
}

// newStarter makes a starter; close ends it, and with it, on Linux, every
// process that it started.
func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for r := range s.requests {
			r.started <- r.cmd.Start()
		}
	}()
	return s
}

func (s *starter) close() { close(s.requests) }

// start starts a process.
func (s *starter) start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	s.requests <- startRequest{cmd: cmd, started: started}
	return <-started
}

// process is a running node.
type process struct {
	cmd     *exec.Cmd
	exited  chan struct{} // closed when it is gone
	logPath string
}

// startProcess runs a program whose output goes to the end of a file. It does
// not get the terminal's signals.
func startProcess(s *starter, logPath, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of a node: %w", err)
	}
	defer func() { _ = log.Close() }()
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{}), logPath: logPath} //nolint:noctx // it is stopped by signals, not by a context
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ownGroup()
	if err := s.start(p.cmd); err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
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

// kill ends the process without warning and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := terminate(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.kill()
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("node did not stop within %v", stopTime)
	}
}

// logTail is the end of the process's output.
func (p *process) logTail(lines int) string {
	const maxTailBytes = 64 << 10
	f, err := os.Open(p.logPath)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(size-maxTailBytes, 0), io.SeekStart)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTailBytes))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
