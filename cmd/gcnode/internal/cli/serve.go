package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/server"
)

// settings are the flags that serve and check share.
type settings struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration file."`

	ID          string   `placeholder:"NAME" help:"This node's id."`
	ListenPeers string   `placeholder:"HOST:PORT" help:"Where to listen for other nodes."`
	ListenAPI   string   `name:"listen-api" placeholder:"HOST:PORT" help:"Where to listen for applications."`
	ListenAdmin string   `placeholder:"HOST:PORT" help:"Where to listen for health checks and metrics."`
	Peer        []string `sep:"none" placeholder:"ID=URL" help:"A member of the cluster, this node included; repeat it. Replaces the file's list and its discovery."`
	LogLevel    string   `placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat   string   `placeholder:"FORMAT" help:"text or json."`
}

// load reads the configuration with the flags on top.
func (s *settings) load() (*config.Config, error) {
	cfg, err := config.Load(s.Config, config.Flags{
		ID:          s.ID,
		ListenPeers: s.ListenPeers,
		ListenAPI:   s.ListenAPI,
		ListenAdmin: s.ListenAdmin,
		Peers:       s.Peer,
		LogLevel:    s.LogLevel,
		LogFormat:   s.LogFormat,
	})
	if err != nil {
		return nil, &statusError{status: statusUsage, err: err}
	}
	return cfg, nil
}

// newLogger makes the node's log.
func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Log.Level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if cfg.Log.JSON {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler).With(slog.String("node", cfg.ID))
}

// serveCommand runs a node.
type serveCommand struct {
	settings
}

// Run implements the command.
func (c *serveCommand) Run(ctx context.Context, console *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	log := newLogger(console.err, cfg)
	configs := make(chan *config.Config, 1)
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, cfg, configs, log) }()
	for first := true; ; {
		select {
		case err := <-done:
			return err
		case <-reloads:
			c.reload(ctx, configs, log)
		case received := <-signals:
			log.LogAttrs(ctx, slog.LevelInfo, "signal received", slog.String("signal", received.String()))
			if !first {
				return fmt.Errorf("ended at once by a second signal (%s)", received)
			}
			first = false
			cancel()
		}
	}
}

// reload reads the configuration again and hands it to the node, unless it is
// wrong.
func (c *serveCommand) reload(ctx context.Context, configs chan *config.Config, log *slog.Logger) {
	next, err := c.load()
	if err != nil {
		log.LogAttrs(ctx, slog.LevelError, "configuration read again: it is wrong, and nothing is changed", slog.Any("err", err))
		return
	}
	select {
	case <-configs: // an earlier one that was not taken over yet
	default:
	}
	configs <- next
}

// checkCommand checks a configuration.
type checkCommand struct {
	settings
}

// Run implements the command.
func (c *checkCommand) Run(ctx context.Context, console *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg.Log.Level = max(cfg.Log.Level, slog.LevelWarn)
	if err := server.Check(ctx, cfg, newLogger(console.err, cfg)); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return &statusError{status: statusUsage, err: err}
	}
	peers := some(max(len(cfg.Peers)-1, 0), "peer")
	switch {
	case cfg.NATS != nil:
		peers = "its peers from NATS"
	case cfg.Discovery.On():
		peers = "its peers from " + cfg.Discovery.String()
	}
	_, err = fmt.Fprintf(console.out, "%s is right: node %q with %s and %s\n",
		c.Config, cfg.ID, some(len(cfg.Groups), "group"), peers)
	return err
}

// some is a number of things.
func some(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
