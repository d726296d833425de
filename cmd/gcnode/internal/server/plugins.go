package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
)

// loadPlugins loads the module of every group. All that are refused are
// reported at once.
func (s *server) loadPlugins(ctx context.Context) error {
	var errs []error
	for _, g := range s.cfg.Groups {
		begun := time.Now()
		plugin, err := loadPlugin(ctx, s.cfg, g, s.log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.plugins[g.Name] = plugin
		s.log.LogAttrs(ctx, slog.LevelInfo, "plugin loaded", slog.String("group", g.Name),
			slog.String("module", g.Plugin.Module), slog.Duration("took", time.Since(begun).Round(time.Millisecond)))
	}
	return errors.Join(errs...)
}

// loadPlugin loads the module of one group.
func loadPlugin(ctx context.Context, cfg *config.Config, g config.Group, log *slog.Logger) (*wasm.Plugin, error) {
	p := g.Plugin
	plugin, err := wasm.LoadFile(ctx, p.Module, wasm.Options{
		Name:            g.Name,
		Function:        p.Function,
		Config:          p.Config,
		Env:             p.Env,
		AllowFetch:      p.AllowFetch,
		AllowPrivate:    p.AllowPrivate,
		MaxFetches:      p.MaxFetches,
		MaxFetchBytes:   p.MaxFetchBytes,
		MaxMemoryBytes:  p.MaxMemoryBytes,
		Timeout:         p.Timeout,
		Instances:       p.Instances,
		Pending:         p.Pending,
		StoreBytes:      p.StoreBytes,
		ParallelFetches: p.ParallelFetches,
		Queue:           p.Queue,
		Logger:          log.With(slog.String("group", g.Name)),
		CacheDir:        cfg.CompilationCache,
		WrapTransport:   func(t http.RoundTripper) http.RoundTripper { return tracedFetches{t} },
	})
	if err != nil {
		// Whatever is wrong with the module has a line of its own, and each
		// says which module it is.
		prefix := g.Path() + ".plugin: " + p.Module + ": "
		return nil, errors.New(prefix + strings.ReplaceAll(loadCause(err).Error(), "\n", "\n"+prefix))
	}
	return plugin, nil
}

// loadCause leaves out of an error what the message around it says.
func loadCause(err error) error {
	if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(err.Error(), "load plugin ") {
		return cause
	}
	return err
}

// closePlugins ends the plugins that were loaded.
func (s *server) closePlugins(ctx context.Context) error {
	var errs []error
	for _, plugin := range s.plugins {
		errs = append(errs, plugin.Close(ctx))
	}
	return errors.Join(errs...)
}

// Check loads every module and closes it again: what [Run] would refuse is
// refused, but for addresses in use.
func Check(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	s := &server{cfg: cfg, log: log, plugins: map[string]*wasm.Plugin{}}
	err := s.loadPlugins(ctx)
	return errors.Join(err, s.closePlugins(ctx))
}
