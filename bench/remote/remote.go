// Package remote puts ways to get a value out of another process behind one
// small interface, so that the same benchmark can be run on all of them. Each
// of them is a server, which has a process of its own, and a client.
package remote

import (
	"context"
	"fmt"
	"os/exec"
)

// Contestant is one way to get a value out of another process.
type Contestant struct {
	// Name is the name in the results.
	Name string
	// program is what has to be installed for it; most are in this module.
	program string
	// serve starts the server, in this process or as another program.
	serve func(Content) (*server, error)
	// dial returns a client of the server at the address.
	dial func(ctx context.Context, addr string) (*Client, error)
}

// server is what answers a client.
type server struct {
	addr string
	// pid is the process that answers; 0 is this one.
	pid   int
	close func()
}

// Client asks a server. Get may be called from any goroutine.
type Client struct {
	// Get gets the value of a key, and fails if that is not what is wanted.
	Get func(ctx context.Context, want Want) error
	// Close ends the client. It fails if the client did not get its values
	// in the way that its name says.
	Close func() error
}

// All are the contestants: first the floors, then ours.
func All() []Contestant {
	return []Contestant{
		netHTTP(), rawTCP(),
		gcnodeStream(), gcnodeSigned(), gcnodePlain(), gcnodeNATS(), compatPool(),
		groupcachePool(), grpcUnary(), natsRequest(), memcachedProgram(), redisProgram(),
	}
}

// Named returns the contestant of the name.
func Named(name string) (Contestant, error) {
	for _, c := range All() {
		if c.Name == name {
			return c, nil
		}
	}
	return Contestant{}, fmt.Errorf("there is no contestant %q", name)
}

// Missing is why the contestant cannot be had on this machine; nil: it can.
func (c Contestant) Missing() error {
	if c.program == "" {
		return nil
	}
	if _, err := exec.LookPath(c.program); err != nil {
		return fmt.Errorf("%s is not installed: %w", c.program, err)
	}
	return nil
}

// Dial returns a client of the process.
func (c Contestant) Dial(ctx context.Context, p *Process) (*Client, error) {
	client, err := c.dial(ctx, p.addr)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", c.Name, p.addr, err)
	}
	return client, nil
}

// mostCallers is how many callers find a connection that is kept open, where a
// connection carries one request at a time.
const mostCallers = 512
