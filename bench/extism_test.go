package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	extism "github.com/extism/go-sdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// extismSample reads one of the modules that come with Extism's SDK for Go,
// which are written in C, Go, Haskell and Rust.
func extismSample(tb testing.TB, name string) []byte {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/extism/go-sdk").Output()
	require.NoError(tb, err)
	module, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "wasm", name+".wasm"))
	require.NoError(tb, err)
	return module
}

// extismCall calls a module once.
type extismCall func(ctx context.Context, key string) (extismAnswer, error)

// extismAnswer is the value as whoever called the module has it.
type extismAnswer struct {
	ours   gcnode.Value
	theirs []byte
}

func (a extismAnswer) size() int { return a.ours.Len() + len(a.theirs) }

func (a extismAnswer) String() string { return a.ours.String() + string(a.theirs) }

// ofGetter is a module as a getter of ours.
func ofGetter(tb testing.TB, module []byte, opts wasm.Options) extismCall {
	tb.Helper()
	plugin, err := wasm.Load(tb.Context(), module, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, plugin.Close(context.Background())) })
	return func(ctx context.Context, key string) (extismAnswer, error) {
		item, err := plugin.GetItem(ctx, key)
		return extismAnswer{ours: item.Value}, err
	}
}

// compileSDK is a module with Extism's SDK.
func compileSDK(tb testing.TB, module []byte, manifest extism.Manifest) *extism.CompiledPlugin {
	tb.Helper()
	manifest.Wasm = []extism.Wasm{extism.WasmData{Data: module}}
	compiled, err := extism.NewCompiledPlugin(tb.Context(), manifest, extism.PluginConfig{
		EnableWasi: true, EnableHttpResponseHeaders: true, RuntimeConfig: wazero.NewRuntimeConfig(),
	}, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, compiled.Close(context.Background())) })
	return compiled
}

var errNotZero = errors.New("the result is not zero")

// callSDK calls an instance of the SDK.
func callSDK(ctx context.Context, p *extism.Plugin, function, key string) (extismAnswer, error) {
	code, value, err := p.CallWithContext(ctx, function, []byte(key))
	if err == nil && code != 0 {
		err = errNotZero
	}
	return extismAnswer{theirs: value}, err
}

// ofSDK calls one instance, which can do one call at a time.
func ofSDK(tb testing.TB, compiled *extism.CompiledPlugin, function string) extismCall {
	tb.Helper()
	p, err := compiled.Instance(tb.Context(), extism.PluginInstanceConfig{})
	require.NoError(tb, err)
	return func(ctx context.Context, key string) (extismAnswer, error) { return callSDK(ctx, p, function, key) }
}

// ofFreshSDK has an instance for each call.
func ofFreshSDK(compiled *extism.CompiledPlugin, function string) extismCall {
	return func(ctx context.Context, key string) (extismAnswer, error) {
		p, err := compiled.Instance(ctx, extism.PluginInstanceConfig{})
		if err != nil {
			return extismAnswer{}, err
		}
		value, err := callSDK(ctx, p, function, key)
		return value, errors.Join(err, p.CloseWithContext(ctx))
	}
}

// BenchmarkExtism gets small values from modules for Extism, one after the
// other, warm.
func BenchmarkExtism(b *testing.B) {
	const milliseconds = 10_000 // as long as a getter has
	for _, m := range []struct{ language, name, function string }{
		{"c", "hello", "run_test"}, // answers without a look at the key
		{"tinygo", "replace", "run_test"},
		{"rust", "count_vowels", "count_vowels"},
	} {
		module := extismSample(b, m.name)
		compiled := compileSDK(b, module, extism.Manifest{})
		for _, impl := range []struct {
			name string
			call extismCall
		}{
			{"gcnode-wasm", ofGetter(b, module, wasm.Options{Function: m.function})},
			{"extism-sdk", ofSDK(b, compiled, m.function)},
			{"extism-sdk-deadline", ofSDK(b, compileSDK(b, module, extism.Manifest{Timeout: milliseconds}), m.function)},
			{"extism-sdk-fresh", ofFreshSDK(compiled, m.function)},
		} {
			b.Run("module="+m.name+"/language="+m.language+"/impl="+impl.name, func(b *testing.B) {
				ctx := b.Context()
				b.ReportAllocs()
				for b.Loop() {
					value, err := impl.call(ctx, "user:123456")
					if err != nil || value.size() == 0 {
						b.Fatalf("got %q, %v", value, err)
					}
				}
			})
		}
	}
}

// TestExtismModulesAnswerAsWithTheSDK compares what modules answer, and
// whether they fail and with what message, with what Extism's own SDK has
// from them.
func TestExtismModulesAnswerAsWithTheSDK(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // so that there is no Content-Length, which is not shown to modules here
		_, _ = w.Write([]byte("a page"))
	}))
	t.Cleanup(server.Close) // after the parallel tests
	request, err := json.Marshal(map[string]string{"url": server.URL})
	require.NoError(t, err)
	config := map[string]string{"thing": "hello", "duration": "0", "vowels": "aei"}
	for _, c := range []struct{ name, function, key string }{
		{"alloc", "run_test", ""},
		{"config", "run_test", "key"},
		{"count_vowels", "count_vowels", "this is a test"},
		{"fail", "run_test", "key"},
		{"fs", "run_test", "key"}, // there are no files
		{"hello", "run_test", ""},
		{"hello_haskell", "testing", "you"},
		{"http_headers", "http_get", string(request)},
		{"input_offset", "input_offset_length", "key"},
		{"log", "run_test", "key"},
		{"println", "run_test", "key"},
		{"read_write", "try_read", "key"},
		{"replace", "run_test", "this is a test"},
		{"replace", "run_test", strings.Repeat("this is a test\xff", 4000)},
		{"sleep", "run_test", "key"},
		{"var", "run_test", "key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			module := extismSample(t, c.name)
			ours := ofGetter(t, module, wasm.Options{
				Function: c.function, Instances: 1, Config: config, AllowFetch: []string{server.URL},
			})
			manifest := extism.Manifest{Config: config, AllowedHosts: []string{"127.0.0.1"}}
			theirs := ofSDK(t, compileSDK(t, module, manifest), c.function)
			for range 3 { // variables make a difference
				want, wantErr := theirs(t.Context(), c.key)
				got, err := ours(t.Context(), c.key)
				if wantErr == nil {
					require.NoError(t, err)
					require.Equal(t, want.String(), got.String())
					continue
				}
				var e *gcnode.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, gcnode.KindTransient, e.Kind)
				if !errors.Is(wantErr, errNotZero) {
					require.EqualError(t, e.Err, wantErr.Error())
				}
			}
		})
	}
}

func TestExtismModulesThatAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"host":             "import extism:host/user.mult: functions that an application adds",
		"host_memory":      "import host.to_upper: other modules",
		"host_multiple":    "import extism:host/user.hostPurpleMessage: functions that an application adds",
		"main":             "import lib.capitalize: other modules",
		"lib":              "the module exports no function",
		"count_vowels_std": "it is a command",
		"std_command":      "it is a command",
		"exit":             "it is a command",
		"noop":             "nor is it for Extism",
		"nested.c.instr":   "import dylibso_observe.instrument_enter",
	} {
		function := "run_test"
		if name == "noop" || name == "nested.c.instr" {
			function = ""
		}
		_, err := wasm.Load(t.Context(), extismSample(t, name), wasm.Options{Function: function})
		assert.ErrorContains(t, err, want, name)
	}
}
