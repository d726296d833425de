package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
)

// defaultAddr is where a node listens that was told nothing else.
const defaultAddr = "http://127.0.0.1:8080"

// addrFromEnvironment is the node that commands talk to unless they are told
// another one. An empty variable is like none.
func addrFromEnvironment() string { return cmp.Or(os.Getenv("GCNODE_ADDR"), defaultAddr) }

// target is the node that a command talks to.
type target struct {
	Addr    string        `default:"${addr}" placeholder:"URL" help:"The node's address for applications (default: $$GCNODE_ADDR, else ${default_addr})."`
	Timeout time.Duration `default:"1m" help:"How long to wait for each answer (default: ${default})."`
}

// each calls do with a client and a deadline for every argument, until a
// signal comes or one fails.
func (t *target) each(ctx context.Context, args []string, do func(context.Context, *client.Client, string) error) error {
	c, err := client.New(t.Addr)
	if err != nil {
		return usageError("--addr or $GCNODE_ADDR: %w", err)
	}
	defer c.Close()
	if t.Timeout <= 0 {
		return usageError("--timeout: %v must be more than nothing, such as 30s", t.Timeout)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, arg := range args {
		if err := t.one(ctx, c, arg, do); err != nil {
			return err
		}
	}
	return nil
}

// one calls do with a deadline.
func (t *target) one(ctx context.Context, c *client.Client, arg string, do func(context.Context, *client.Client, string) error) error {
	limited, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	err := do(limited, c, arg)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case limited.Err() != nil:
		return fmt.Errorf("no answer from %s within %v (see --timeout)", t.Addr, t.Timeout)
	case errors.Is(err, client.ErrNotGcnode):
		return fmt.Errorf("%w (see --addr)", err)
	default:
		return err
	}
}

// getCommand writes values to standard output.
type getCommand struct {
	target

	Headers bool     `short:"v" help:"Say on standard error where each value came from and how long it lives."`
	Group   string   `arg:"" help:"The group."`
	Keys    []string `arg:"" name:"key" help:"The keys, any bytes; put -- before one that begins with a dash."`
}

// Run implements the command. Keys without a value do not keep it from
// writing the others.
func (c *getCommand) Run(ctx context.Context, console *console) error {
	var missing []error
	err := c.each(ctx, c.Keys, func(ctx context.Context, node *client.Client, key string) error {
		answer, err := node.Get(ctx, c.Group, key)
		if c.Headers && answer.Node != "" {
			_, _ = fmt.Fprintf(console.err, "source=%s owner=%s node=%s cache-control=%q content-type=%q bytes=%d\n",
				answer.Source, answer.Owner, answer.Node, answer.CacheControl, answer.ContentType, len(answer.Value))
		}
		if client.NotFound(err) {
			missing = append(missing, err)
			return nil
		}
		if err != nil {
			return err
		}
		_, err = console.out.Write(answer.Value)
		return err
	})
	if err == nil && len(missing) > 0 {
		return &statusError{status: statusNotFound, err: errors.Join(missing...)}
	}
	return errors.Join(append(missing, err)...)
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
	err := c.each(ctx, c.Keys, func(ctx context.Context, node *client.Client, key string) error {
		err := node.Remove(ctx, c.Group, key)
		if _, ok := errors.AsType[*client.Error](err); ok {
			failed = append(failed, err)
			return nil
		}
		return err
	})
	return errors.Join(append(failed, err)...)
}

// statsCommand prints figures.
type statsCommand struct {
	target
}

// Run implements the command.
func (c *statsCommand) Run(ctx context.Context, console *console) error {
	return c.each(ctx, []string{""}, func(ctx context.Context, node *client.Client, _ string) error {
		stats, err := node.Stats(ctx)
		if err != nil {
			return err
		}
		_, err = console.out.Write(stats)
		return err
	})
}
