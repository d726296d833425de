package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
	gcnode "github.com/gcnode/gcnode/core"
)

// defaultAddr is where a node listens that was told nothing else.
const defaultAddr = "http://127.0.0.1:8080"

// addrFromEnvironment is the node that commands talk to unless they are told
// another one. An empty variable is like none.
func addrFromEnvironment() string { return cmp.Or(os.Getenv("GCNODE_ADDR"), defaultAddr) }

// target is the node that a command talks to, and who says so.
type target struct {
	Addr      string        `default:"${addr}" placeholder:"URL" help:"The node's address for applications (default: $$GCNODE_ADDR, else ${default_addr})."`
	Timeout   time.Duration `default:"1m" help:"How long to wait for each answer (default: ${default})."`
	TokenFile string        `placeholder:"FILE" help:"A file with the token that shows who asks (default: $$GCNODE_TOKEN)."`
	CA        string        `name:"ca" placeholder:"FILE" help:"The authorities that the node's certificate is from, in PEM (default: those of the system)."`
	Cert      string        `placeholder:"FILE" help:"A certificate that shows who asks, in PEM, with --key."`
	Key       string        `placeholder:"FILE" help:"The key of the certificate."`
}

// session is a command's conversation with the node.
type session struct {
	*client.Client

	target *target
}

// talk calls do with a session that ends with a signal.
func (t *target) talk(ctx context.Context, do func(context.Context, *session) error) error {
	opts, err := t.credentials()
	if err != nil {
		return err
	}
	c, err := client.New(t.Addr, opts)
	if err != nil {
		return usageError("--addr or $GCNODE_ADDR: %w", err)
	}
	defer c.Close()
	if t.Timeout <= 0 {
		return usageError("--timeout: %v must be more than nothing, such as 30s", t.Timeout)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return do(ctx, &session{Client: c, target: t})
}

// once calls do, which has to have its answer in time.
func (t *target) once(ctx context.Context, do func(context.Context, *client.Client) error) error {
	return t.talk(ctx, func(ctx context.Context, s *session) error {
		return s.ask(ctx, func(ctx context.Context, _ func()) error { return do(ctx, s.Client) })
	})
}

// ask calls do with a context that ends when the time for an answer is over. A
// do that gets several answers says so with each: the time begins anew.
func (s *session) ask(ctx context.Context, do func(ctx context.Context, answered func()) error) error {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(s.target.Timeout, cancel)
	defer timer.Stop()
	err := do(limited, func() { timer.Reset(s.target.Timeout) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case limited.Err() != nil:
		return fmt.Errorf("no answer from %s within %v (see --timeout)", s.target.Addr, s.target.Timeout)
	case errors.Is(err, client.ErrNotGcnode):
		return fmt.Errorf("%w (see --addr)", err)
	default:
		return err
	}
}

// getPiece is how many keys are asked for at a time: their values may have to be
// held until that of the first is there.
const getPiece = 100

// getCommand writes values to standard output.
type getCommand struct {
	target

	Headers bool     `short:"v" help:"Say on standard error where each value came from and how long it lives; the keys are asked for one after the other."`
	Group   string   `arg:"" help:"The group."`
	Keys    []string `arg:"" name:"key" help:"The keys, any bytes; put -- before one that begins with a dash."`
}

// Run implements the command. Keys without a value do not keep it from
// writing the others.
func (c *getCommand) Run(ctx context.Context, console *console) error {
	var missing []error
	write := func(value []byte, err error) error {
		if client.NotFound(err) {
			missing = append(missing, err)
			return nil
		}
		if err != nil {
			return err
		}
		_, err = console.out.Write(value)
		return err
	}
	err := c.talk(ctx, func(ctx context.Context, s *session) error {
		if c.Headers || len(c.Keys) == 1 {
			return c.getEach(ctx, s, console, write)
		}
		for keys := range slices.Chunk(c.Keys, getPiece) {
			for _, piece := range client.Pieces(keys) {
				if err := c.getMany(ctx, s, piece, write); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && len(missing) > 0 {
		return &statusError{status: statusNotFound, err: errors.Join(missing...)}
	}
	return errors.Join(append(missing, err)...)
}

// getEach asks for one key after the other.
func (c *getCommand) getEach(ctx context.Context, s *session, console *console, write func([]byte, error) error) error {
	for _, key := range c.Keys {
		err := s.ask(ctx, func(ctx context.Context, _ func()) error {
			answer, err := s.Get(ctx, c.Group, key)
			if c.Headers && answer.Node != "" {
				_, _ = fmt.Fprintf(console.err, "source=%s owner=%s node=%s cache-control=%q content-type=%q bytes=%d\n",
					answer.Source, answer.Owner, answer.Node, answer.CacheControl, answer.ContentType, len(answer.Value))
			}
			return write(answer.Value, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// getMany asks for keys at once, and writes their values in the order of the
// keys.
func (c *getCommand) getMany(ctx context.Context, s *session, keys []string, write func([]byte, error) error) error {
	early, next := map[int]client.Result{}, 0
	return s.ask(ctx, func(ctx context.Context, answered func()) error {
		return s.GetMany(ctx, c.Group, keys, func(r client.Result) error {
			answered()
			early[r.Index] = r
			for {
				r, ok := early[next]
				if !ok {
					return nil
				}
				delete(early, next)
				next++
				if err := write(r.Value, r.Err); err != nil {
					return err
				}
			}
		})
	})
}

// setCommand stores a value.
type setCommand struct {
	target

	TTL   string `placeholder:"LIFE" help:"How long the value lives, in whole seconds, such as 90s or 1h; or forever; or no-store, which only removes older values (default: as long as the group says)."`
	Group string `arg:"" help:"The group."`
	Key   string `arg:"" help:"The key, any bytes; put -- before one that begins with a dash."`
	Value string `arg:"" help:"The value, any bytes; - reads it from standard input."`
}

// Run implements the command.
func (c *setCommand) Run(ctx context.Context, console *console) error {
	life, err := parseLife(c.TTL)
	if err != nil {
		return err
	}
	value := []byte(c.Value)
	if c.Value == "-" {
		if value, err = io.ReadAll(io.LimitReader(console.in, gcnode.MaxValueBytes+1)); err != nil {
			return fmt.Errorf("cannot read the value from standard input: %w", err)
		}
		if len(value) > gcnode.MaxValueBytes {
			return fmt.Errorf("the value on standard input has more than %d bytes, which are allowed", gcnode.MaxValueBytes)
		}
	}
	return c.once(ctx, func(ctx context.Context, node *client.Client) error {
		return node.Set(ctx, c.Group, c.Key, value, life)
	})
}

// parseLife reads how long a value is to live.
func parseLife(text string) (gcnode.Lifetime, error) {
	switch text {
	case "":
		return 0, nil
	case "forever":
		return gcnode.Forever, nil
	case "no-store":
		return gcnode.NoStore, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, usageError("--ttl: %q must be a duration in whole seconds, such as 90s or 1h, or forever, or no-store", text)
	}
	return gcnode.For(d), nil
}

// rmCommand removes keys.
type rmCommand struct {
	target

	Group string   `arg:"" help:"The group."`
	Keys  []string `arg:"" name:"key" help:"The keys, any bytes; put -- before one that begins with a dash."`
}

// Run implements the command. All keys are tried.
func (c *rmCommand) Run(ctx context.Context, _ *console) error {
	var failed []error
	err := c.talk(ctx, func(ctx context.Context, s *session) error {
		for _, keys := range client.Pieces(c.Keys) {
			err := s.ask(ctx, func(ctx context.Context, _ func()) error { return s.Remove(ctx, c.Group, keys...) })
			if _, ok := errors.AsType[*client.Error](err); ok {
				failed = append(failed, err)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(append(failed, err)...)
}

// clearCommand removes all keys.
type clearCommand struct {
	target

	Group string `arg:"" help:"The group."`
}

// Run implements the command.
func (c *clearCommand) Run(ctx context.Context, _ *console) error {
	return c.once(ctx, func(ctx context.Context, node *client.Client) error { return node.Clear(ctx, c.Group) })
}

// statsCommand prints figures.
type statsCommand struct {
	target
}

// Run implements the command.
func (c *statsCommand) Run(ctx context.Context, console *console) error {
	return c.once(ctx, func(ctx context.Context, node *client.Client) error {
		stats, err := node.Stats(ctx)
		if err != nil {
			return err
		}
		_, err = console.out.Write(stats)
		return err
	})
}
