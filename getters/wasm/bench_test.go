package wasm

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

func BenchmarkGet(b *testing.B) {
	b.Run("guest=go/key=hit", func(b *testing.B) { benchmarkGet(b, loadVerbs(b, Options{}), "hit") })
	b.Run("guest=go/key=echo", func(b *testing.B) { benchmarkGet(b, loadVerbs(b, Options{}), "echo:value") })
	b.Run("guest=minimal", func(b *testing.B) { benchmarkGet(b, loadModule(b, minimal().bytes(), Options{}), "key") })
	b.Run("guest=extism-go/key=echo", func(b *testing.B) { benchmarkGet(b, loadExtism(b, Options{}), "echo:value") })
	b.Run("guest=extism-minimal", func(b *testing.B) { benchmarkGet(b, loadModule(b, echoExtism().bytes(), Options{}), "key") })
	for sdk, module := range probes(b) {
		b.Run("sdk="+sdk+"/key=echo", func(b *testing.B) {
			benchmarkGet(b, loadProbe(b, module, somewhere), "echo:value")
		})
	}
}

// probes are those of some SDKs.
func probes(b *testing.B) map[string][]byte {
	b.Helper()
	built, err := probe()
	require.NoError(b, err)
	kept, err := os.ReadFile("wasmtest/testdata/c.wasm")
	require.NoError(b, err)
	return map[string][]byte{"go": built, "c": kept}
}

// loadProbe loads a probe with one instance.
func loadProbe(b *testing.B, module []byte, allow []string) *Plugin {
	b.Helper()
	return loadModule(b, module, Options{Instances: 1, AllowFetch: allow, StoreBytes: 1 << 16})
}

func benchmarkGet(b *testing.B, p *Plugin, key string) {
	b.Helper()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.GetItem(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFetch has 64 callers load from an origin that takes 20 ms, natively
// and by one instance of a guest.
func BenchmarkFetch(b *testing.B) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(20 * time.Millisecond):
			_, _ = io.WriteString(w, "value")
		case <-r.Context().Done():
		}
	}))
	b.Cleanup(origin.Close)
	b.Run("getter=native", func(b *testing.B) {
		transport := &http.Transport{MaxIdleConnsPerHost: 64}
		b.Cleanup(transport.CloseIdleConnections)
		benchmarkFetch(b, nativeGetter(transport), origin.URL)
	})
	for sdk, module := range probes(b) {
		b.Run("getter="+sdk, func(b *testing.B) {
			benchmarkFetch(b, loadProbe(b, module, []string{origin.URL}), "fetch:"+origin.URL)
		})
	}
}

func benchmarkFetch(b *testing.B, getter gcnode.Getter[gcnode.Value], key string) {
	b.Helper()
	const callers = 64
	b.SetParallelism((callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := getter.GetItem(b.Context(), key); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "loads/s")
}

// nativeFetch is a getter that fetches its key.
type nativeFetch struct{ client http.Client }

func nativeGetter(transport http.RoundTripper) nativeFetch {
	return nativeFetch{http.Client{Transport: transport}}
}

func (f nativeFetch) GetItem(ctx context.Context, key string) (item gcnode.Item[gcnode.Value], err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, key, http.NoBody)
	if err != nil {
		return item, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return item, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	item.Value = gcnode.BytesValue(body)
	return item, err
}

func TestGetAllocatesNothingButTheValue(t *testing.T) {
	p := loadVerbs(t, Options{Instances: 1})
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := p.GetItem(ctx, "hit")
		require.NoError(t, err)
	})
	require.LessOrEqual(t, allocs, 1.0)
}
