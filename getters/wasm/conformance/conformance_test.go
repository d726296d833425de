package conformance

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// probeInC is a module that does what its keys say.
func probeInC(t *testing.T) []byte {
	t.Helper()
	module, err := os.ReadFile("../wasmtest/testdata/c.wasm")
	require.NoError(t, err)
	return module
}

// verdicts are what is wrong, by check.
func verdicts(t *testing.T, s *Suite, err error) map[string]string {
	t.Helper()
	require.NoError(t, err)
	defer s.Close()
	wrong := map[string]string{}
	for _, c := range s.Checks() {
		if err := c.Judge(t.Context()); err != nil {
			wrong[c.Name] = err.Error()
		}
	}
	return wrong
}

func TestAGoodGetterPasses(t *testing.T) {
	t.Parallel()
	s, err := Getter(probeInC(t), GetterOptions{
		Wasm: wasm.Options{AllowFetch: []string{"http://127.0.0.1:1"}, StoreBytes: 1 << 16},
		Keys: []string{"echo:x", "size:1000"},
	})
	assert.Empty(t, verdicts(t, s, err))
}

// withoutFuel is a module whose table is too large for one that is given fuel.
func withoutFuel(t *testing.T, module []byte) []byte {
	t.Helper()
	const sectionTable, header = 4, 8
	out := slices.Clone(module[:header])
	for rest := module[header:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		body := rest[1+n : 1+n+int(size)]
		rest = rest[1+n+int(size):]
		if id == sectionTable {
			body = binary.AppendUvarint([]byte{1, 0x70, 0}, fuel.DefaultMaxTableEntries+1) // one, without a maximum
		}
		out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
	}
	_, _, err := fuel.Inject(out, fuel.Options{})
	require.ErrorIs(t, err, fuel.ErrLimit)
	return out
}

// What a getter does is the same without fuel.
func TestAGetterWithoutFuelPasses(t *testing.T) {
	t.Parallel()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("served")) // what is lost the check finds missing
	}))
	t.Cleanup(served.Close)
	opts := GetterOptions{
		Wasm: wasm.Options{AllowFetch: []string{served.URL}, StoreBytes: 1 << 16, Interruption: wasm.InterruptByEngine},
		Keys: []string{"echo:x", "size:1000", "fetch:" + served.URL + "/x"},
	}
	s, err := Getter(withoutFuel(t, probeInC(t)), opts)
	assert.Empty(t, verdicts(t, s, err))
	opts.Wasm.Interruption = wasm.InterruptByFuel
	s, err = Getter(withoutFuel(t, probeInC(t)), opts)
	assert.Contains(t, verdicts(t, s, err)["Loads"], "interruption: engine in a node's configuration")
}

// Each bad habit is noticed by the check that is for it.
func TestABadGetterIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key string
		timeout   time.Duration
		config    map[string]string
		want      map[string]string
	}{
		{"traps", "trap", 0, nil, map[string]string{
			"KeysHaveValues": "permanent failure", "KeysOfAnyBytes": `the key "trap" ended its instance`,
			"ManyCallers": "instances were discarded", "Batch": "instances were discarded",
			"CallersThatGiveUp": "instances were discarded", "MemoryStaysFlat": "instances were discarded",
		}},
		{"computes for ever", "spin", 20 * time.Millisecond, nil, map[string]string{
			"KeysHaveValues": "timed out", "KeysOfAnyBytes": `the key "spin" ended its instance`, "ManyCallers": "timed out",
		}},
		{"refuses to start", "echo:x", 0, map[string]string{"open": "fail"}, map[string]string{
			"Loads": "refused the configuration", "KeysHaveValues": "told to fail", "Batch": "told to fail",
		}},
		{"has no value", "notfound:-1:gone", 0, nil, map[string]string{"KeysHaveValues": "not found: gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := Getter(probeInC(t), GetterOptions{
				Wasm: wasm.Options{
					AllowFetch: []string{"http://127.0.0.1:1"}, StoreBytes: 1 << 16, Timeout: c.timeout, Config: c.config,
				},
				Keys: []string{c.key},
			})
			require.NoError(t, err)
			s.checks = slices.DeleteFunc(s.checks, func(check Check) bool { return c.want[check.Name] == "" })
			wrong := verdicts(t, s, err)
			for name, want := range c.want {
				assert.Contains(t, wrong[name], want, name)
				assert.NotContains(t, wrong[name], ".go:", "where it stands in the source says nothing to authors of getters")
			}
		})
	}
}

func TestAModuleThatIsNoProbeFailsEveryCheck(t *testing.T) {
	t.Parallel()
	s, err := Probe([]byte("\x00asm\x01\x00\x00\x00"), ProbeOptions{})
	require.NoError(t, err)
	checks := len(s.Checks())
	wrong := verdicts(t, s, err)
	assert.Len(t, wrong, checks)
	assert.Contains(t, wrong["Keys"], "gcnode_abi_1")

	less, err := Probe(nil, ProbeOptions{Blocking: true, NoStore: true, NoEscape: true})
	require.NoError(t, err)
	defer less.Close()
	assert.Len(t, less.Checks(), checks-5)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	var order []string
	c := Check{"x", func(t T) {
		t.Cleanup(func() { order = append(order, "last"); assert.Error(t, t.Context().Err()) })
		t.Cleanup(func() { order = append(order, "first") })
		assert.Equal(t, "a\tb", "c", "the reason")
		require.Fail(t, "the end")
		order = append(order, "never")
	}}
	err := c.Judge(t.Context())
	require.Error(t, err)
	assert.Equal(t, []string{"first", "last"}, order)
	for _, want := range []string{"Not equal:", `expected: "a\tb"`, `actual  : "c"`, "the reason", "the end"} {
		assert.Contains(t, err.Error(), want)
	}
	assert.NotContains(t, err.Error(), "Error Trace")

	c.Run = func(T) { panic("boom") }
	require.ErrorContains(t, c.Judge(t.Context()), "the check failed: boom")
	c.Run = func(T) {}
	require.NoError(t, c.Judge(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Run = func(t T) { until(t, func() bool { return false }) }
	err = c.Judge(ctx)
	require.Error(t, err)
	assert.True(t, strings.HasPrefix(err.Error(), "what has to happen soon does not"), err.Error())
}
