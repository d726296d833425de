package conformance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm"
)

// Suite is what a module has to pass.
type Suite struct {
	host   *host
	checks []Check
}

// Checks are the single things that are checked, each by itself.
func (s *Suite) Checks() []Check { return s.checks }

// Close frees what the checks shared. None may be running.
func (s *Suite) Close() { s.host.close() }

// host is where the modules of a suite run: with an origin to fetch from.
type host struct {
	module []byte
	dir    string
	cache  string // of compiled modules
	origin *origin
}

func newHost(module []byte) (*host, error) {
	dir, err := os.MkdirTemp("", "gcnode-conformance-")
	if err != nil {
		return nil, err
	}
	o, err := newOrigin()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &host{module: module, dir: dir, cache: filepath.Join(dir, "compiled"), origin: o}, nil
}

func (h *host) close() {
	h.origin.close()
	_ = os.RemoveAll(h.dir) // it is temporary anyway
}

// closed is a plugin that was loaded, and is closed at the end of a check.
func closed(t T) func(p *wasm.Plugin, err error) *wasm.Plugin {
	t.Helper()
	return func(p *wasm.Plugin, err error) *wasm.Plugin {
		t.Helper()
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			assert.NoError(t, p.Close(ctx))
		})
		return p
	}
}

// until waits for something to hold.
func until(t T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			require.Fail(t, "what has to happen soon does not")
		}
	}
}
