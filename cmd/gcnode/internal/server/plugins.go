package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
)

// plugin is what answers the keys of one group.
type plugin struct {
	*wasm.Switch
	hash string // of its module
}

// loadPlugins loads the module of every group. All that are refused are
// reported at once.
func (s *server) loadPlugins(ctx context.Context) error {
	var errs []error
	for _, g := range s.cfg.Groups {
		module, err := readModule(g)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		loaded, err := s.loadPlugin(ctx, g, module)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.plugins[g.Name] = &plugin{wasm.NewSwitch(loaded), wasm.HashOf(module)}
	}
	return errors.Join(errs...)
}

// readModule reads the module of one group.
func readModule(g config.Group) ([]byte, error) {
	module, err := wasm.ReadFile(g.Plugin.Module)
	if err != nil {
		return nil, refused(g, err)
	}
	return module, nil
}

// refused is what is wrong with the module of a group: each thing has a line of
// its own, which says which module it is.
func refused(g config.Group, err error) error {
	prefix := g.Path() + ".plugin: " + g.Plugin.Module + ": "
	return errors.New(prefix + strings.ReplaceAll(loadCause(err).Error(), "\n", "\n"+prefix))
}

// loadPlugin loads the module of one group.
func (s *server) loadPlugin(ctx context.Context, g config.Group, module []byte) (*wasm.Plugin, error) {
	begun := time.Now()
	opts := g.Plugin.Options()
	opts.Name = g.Name
	opts.Logger = s.log.With(slog.String("group", g.Name))
	opts.CacheDir = s.cfg.CompilationCache
	opts.WrapTransport = func(t http.RoundTripper) http.RoundTripper { return tracedFetches{t} }
	loaded, err := wasm.Load(ctx, module, opts)
	if err != nil {
		return nil, refused(g, err)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "plugin loaded", slog.String("group", g.Name),
		slog.String("module", g.Plugin.Module), slog.Duration("took", time.Since(begun).Round(time.Millisecond)))
	return loaded, nil
}

// exchangePlugins has those modules answer whose files or settings are others
// than before, and returns the groups as they are then. A module that is refused
// changes nothing, and is reported.
func (s *server) exchangePlugins(ctx context.Context, next []config.Group) []config.Group {
	if s.exchanged(ctx) != nil {
		return s.cfg.Groups
	}
	groups, patience := slices.Clone(s.cfg.Groups), s.cfg.DrainTimeout
	for i := range groups {
		g := &groups[i]
		at := slices.IndexFunc(next, func(n config.Group) bool { return n.Name == g.Name })
		if at < 0 {
			continue
		}
		changed := *g
		changed.Plugin = next[at].Plugin
		p := s.plugins[g.Name]
		module, err := readModule(changed)
		if err == nil && wasm.HashOf(module) == p.hash && reflect.DeepEqual(changed.Plugin, g.Plugin) {
			continue
		}
		var loaded *wasm.Plugin
		if err == nil {
			loaded, err = s.loadPlugin(ctx, changed, module)
		}
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "plugin not exchanged: the module from before goes on",
				slog.String("group", g.Name), slog.String("err", err.Error()))
			continue
		}
		p.hash, g.Plugin = wasm.HashOf(module), changed.Plugin
		s.exchanges.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			if err := p.Exchange(ctx, loaded); err != nil {
				s.log.LogAttrs(ctx, slog.LevelWarn, "requests to the module from before took too long: they begin again in the new one",
					slog.String("group", changed.Name), slog.String("err", err.Error()))
			}
			s.log.LogAttrs(ctx, slog.LevelInfo, "plugin exchanged", slog.String("group", changed.Name))
		})
	}
	return groups
}

// loadCause leaves out of an error what the message around it says.
func loadCause(err error) error {
	if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(err.Error(), "load plugin ") {
		return cause
	}
	return err
}

// withoutPlugins is a configuration but for how modules are run.
func withoutPlugins(cfg *config.Config) config.Config {
	rest := *cfg
	rest.Groups = slices.Clone(cfg.Groups)
	for i := range rest.Groups {
		rest.Groups[i].Plugin = config.Plugin{}
	}
	return rest
}

// plugin is what answers the keys of a group now; nil: there is none.
func (s *server) plugin(group string) *wasm.Plugin {
	if p := s.plugins[group]; p != nil {
		return p.Plugin()
	}
	return nil
}

// exchanged waits until modules that were exchanged are closed.
func (s *server) exchanged(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.exchanges.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closePlugins ends the plugins that were loaded.
func (s *server) closePlugins(ctx context.Context) error {
	errs := []error{s.exchanged(ctx)}
	for _, p := range s.plugins {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}

// Check loads every module and closes it again: what [Run] would refuse is
// refused, but for addresses in use.
func Check(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	s := &server{cfg: cfg, log: log, plugins: map[string]*plugin{}}
	err := s.loadPlugins(ctx)
	return errors.Join(err, s.closePlugins(ctx))
}
