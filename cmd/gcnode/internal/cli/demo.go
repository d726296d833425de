package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/demo"
)

// demoCommand shows what a cluster does.
type demoCommand struct {
	Plugin    string `placeholder:"FILE" help:"The godoc plugin (default: plugins/godoc.wasm beside this program, or in bin)."`
	Src       string `placeholder:"DIR" help:"The Go source tree to serve (default: the src of go env GOROOT)."`
	Transport string `enum:"http,nats" default:"http" help:"What the nodes talk over: http, or nats with a NATS server in each node (default: http)."`
	Keep      bool   `help:"Leave the cluster up until Ctrl-C, and print what to try."`
}

// Run implements the command. A terminal or pipe that is closed ends it like
// Ctrl-C does; without SIGPIPE among the signals a write to the pipe would end
// the process before anything is tidied up. Further signals do not interrupt
// the tidying up, which takes a few seconds at most.
func (c *demoCommand) Run(ctx context.Context, console *console) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program's own file to start nodes with: %w", err)
	}
	return demo.Run(ctx, demo.Options{
		Program: program,
		Plugin:  c.Plugin,
		Src:     c.Src,
		NATS:    c.Transport == "nats",
		Keep:    c.Keep,
		Out:     console.out,
	})
}
