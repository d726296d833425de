//go:build !race

// These tests compile and run large modules in one goroutine: with the race
// detector, which has nothing to find there, that takes ten times as long.

package fuel_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// command is a step of a script of the test suite: a module to start, a name to
// give to one, or an export to use. What it expects is left out: the results
// with fuel are compared with those without.
type command struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	As       string `json:"as"`
	Filename string `json:"filename"`
	Action   struct {
		Type   string `json:"type"`
		Module string `json:"module"`
		Field  string `json:"field"`
		Args   []struct {
			Value any `json:"value"`
		} `json:"args"`
	} `json:"action"`
}

// params returns the arguments of an action; it is not ok for those that are
// not single numbers.
func (c *command) params() (params []uint64, ok bool) {
	for _, a := range c.Action.Args {
		text, ok := a.Value.(string)
		if !ok {
			return nil, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if text == "null" {
			n, err = 0, nil
		}
		if err != nil {
			return nil, false
		}
		params = append(params, n)
	}
	return params, true
}

// world runs a script's modules either all with or all without fuel.
type world struct {
	runtime wazero.Runtime
	fuel    bool
	last    api.Module
	named   map[string]api.Module
}

func newWorld(t *testing.T, spectest []byte, withFuel bool) *world {
	t.Helper()
	w := &world{
		runtime: newRuntime(t, func() int64 { return 1 << 20 }),
		fuel:    withFuel, named: map[string]api.Module{},
	}
	require.NoError(t, w.start(t.Context(), spectest, "", "spectest"))
	return w
}

// start instantiates a module under the name by which others import it.
func (w *world) start(ctx context.Context, module []byte, name, as string) error {
	if w.fuel {
		var err error
		if module, _, err = fuel.Inject(module, fuel.Options{}); err != nil {
			return err
		}
	}
	m, err := w.runtime.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName(as).WithStartFunctions())
	if err == nil {
		w.last = m
		w.named[name] = m
	}
	return err
}

// use calls or reads an export. The error is the first line of what the engine
// says, the rest being the stack trace.
func (w *world) use(ctx context.Context, c *command, params []uint64) ([]uint64, string) {
	m := w.last
	if c.Action.Module != "" {
		m = w.named[c.Action.Module]
	}
	if c.Action.Type == "get" {
		return []uint64{m.ExportedGlobal(c.Action.Field).Get()}, ""
	}
	results, err := m.ExportedFunction(c.Action.Field).Call(ctx, params...)
	if err == nil {
		return results, ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return nil, text
}

// importName returns the name that a later command gives to the module that
// commands[at] starts.
func importName(commands []command, at int) string {
	for _, c := range commands[at+1:] {
		if c.Type == "register" && (c.Name == commands[at].Name || c.Name == "") {
			return c.As
		}
		if c.Type == "module" && commands[at].Name == "" {
			break
		}
	}
	return ""
}

// TestSpecScripts runs the scripts of the test suite with and without fuel and
// compares every result and every trap.
func TestSpecScripts(t *testing.T) {
	root := specDir(t)
	spectest, err := os.ReadFile(filepath.Join(root, "testdata", "spectest.wasm"))
	require.NoError(t, err)
	used := 0
	for _, suite := range []string{"v1", "v2", "tail-call", "extended-const"} {
		paths, err := filepath.Glob(filepath.Join(root, suite, "testdata", "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		for _, path := range paths {
			t.Run(suite+"/"+filepath.Base(path), func(t *testing.T) {
				used += runScript(t, path, spectest)
			})
		}
	}
	require.Greater(t, used, 20_000)
}

// runScript returns the number of exports that it compared.
func runScript(t *testing.T, path string, spectest []byte) int {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var script struct {
		Commands []command `json:"commands"`
	}
	require.NoError(t, json.Unmarshal(text, &script))
	plain, with := newWorld(t, spectest, false), newWorld(t, spectest, true)
	used, started := 0, false
	for i, c := range script.Commands {
		switch c.Type {
		case "module":
			module, err := os.ReadFile(filepath.Join(filepath.Dir(path), c.Filename))
			require.NoError(t, err)
			as := importName(script.Commands, i)
			err = plain.start(t.Context(), module, c.Name, as)
			started = err == nil
			if started {
				require.NoError(t, with.start(t.Context(), module, c.Name, as), c.Filename)
			}
		case "action", "assert_return", "assert_trap":
			params, ok := c.params()
			if !ok || !started {
				continue
			}
			used++
			want, wantErr := plain.use(t.Context(), &c, params)
			got, gotErr := with.use(t.Context(), &c, params)
			require.Equal(t, wantErr, gotErr, c.Action.Field)
			require.Equal(t, want, got, c.Action.Field)
		}
	}
	return used
}
