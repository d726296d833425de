package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

const (
	// serveVariable has what a process that was started as a server serves.
	serveVariable = "GCNODE_BENCH_SERVE"
	// startTime is how long a server may take to start, or to say something.
	startTime = 30 * time.Second
)

// order is what a server process has to do.
type order struct {
	Name    string
	Content Content
}

// Usage is what a process has used since it was started.
type Usage struct {
	// CPU is the time in all threads; 0 where it is unknown.
	CPU time.Duration
	// Allocs are the allocations of a Go program. Counted is false for others.
	Allocs  uint64
	Counted bool
}

// Process is a server in a process of its own.
type Process struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *json.Decoder
}

// Start starts a server that has the content. The program calls [Main] first
// of all.
func (c Contestant) Start(ctx context.Context, content Content) (*Process, error) {
	text, err := json.Marshal(order{c.Name, content})
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), serveVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin, said: json.NewDecoder(stdout)}
	if err := p.said.Decode(&p.addr); err != nil {
		return nil, errors.Join(fmt.Errorf("the server of %s does not start: %w", c.Name, err), p.Close())
	}
	return p, nil
}

// Addr is where the server listens, host and port.
func (p *Process) Addr() string { return p.addr }

// Usage asks the process what it has used.
func (p *Process) Usage() (Usage, error) {
	var usage Usage
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		return usage, err
	}
	return usage, p.said.Decode(&usage)
}

// Close ends the process.
func (p *Process) Close() error { return errors.Join(p.stdin.Close(), p.cmd.Wait()) }

// Main serves, and ends the process, if it was started for that by
// [Contestant.Start]. It is called at the very beginning.
func Main() {
	text, ok := os.LookupEnv(serveVariable)
	if !ok {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve serves until standard input ends: so a server does not outlive who has
// started it. For each line it says what it has used.
func serve(text string) (err error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	c, err := Named(o.Name)
	if err != nil {
		return err
	}
	s, err := c.serve(o.Content)
	if err != nil {
		return fmt.Errorf("the server of %s: %w", c.Name, err)
	}
	defer s.close()
	profiled, err := Profile(c.Name + "-server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, profiled()) }()
	says := json.NewEncoder(os.Stdout)
	if err := says.Encode(s.addr); err != nil {
		return err
	}
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		usage := SelfUsage()
		if s.pid != 0 {
			usage = Usage{CPU: cpuTime(s.pid)}
		}
		if err := says.Encode(usage); err != nil {
			return err
		}
	}
	return nil
}

// SelfUsage is what this process has used.
func SelfUsage() Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: cpuTime(0), Allocs: m.Mallocs, Counted: true}
}
