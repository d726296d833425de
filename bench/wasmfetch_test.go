package bench_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gcnode/gcnode/bench/guesttest"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

const (
	fetchCallers = 64
	originTime   = 20 * time.Millisecond
)

// BenchmarkWasmFetch has 64 callers ask for values that are fetched from an
// origin which takes 20 ms, from a native getter and from one instance of each
// guest.
func BenchmarkWasmFetch(b *testing.B) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(originTime)
		w.Header().Set("X-Answer", "yes")
		_, _ = io.WriteString(w, value())
	}))
	b.Cleanup(origin.Close)
	fetchers := map[string]gcnode.Getter[gcnode.Value]{"native": nativeFetch(b)}
	names := []string{"native"}
	for _, g := range guesttest.Probes(b) {
		fetchers[g.Name] = g.Load(b, wasm.Options{AllowFetch: []string{origin.URL}, Instances: 1, Pending: fetchCallers, MaxFetches: 1})
		names = append(names, g.Name)
	}
	for _, name := range names {
		runOnce(b, name, func(b *testing.B) {
			var loads, number atomic.Int64
			var callers sync.WaitGroup
			period := time.Duration(amount(2_000)) * time.Millisecond
			began := time.Now()
			for range fetchCallers {
				callers.Go(func() {
					for time.Since(began) < period {
						_, err := fetchers[name].GetItem(b.Context(), fmt.Sprintf("fetch:%s/%d", origin.URL, number.Add(1)))
						if err != nil {
							b.Error(err)
							return
						}
						loads.Add(1)
					}
				})
			}
			callers.Wait()
			b.ReportMetric(float64(loads.Load())/time.Since(began).Seconds(), "loads/s")
		})
	}
}

// nativeFetch is a native getter that fetches as the guests do.
func nativeFetch(b *testing.B) gcnode.Getter[gcnode.Value] {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: fetchCallers}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return gcnode.GetterFunc[gcnode.Value](func(ctx context.Context, key string) (item gcnode.Item[gcnode.Value], err error) {
		const command = len("fetch:")
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, key[command:], nil)
		if err != nil {
			return item, err
		}
		req.Header.Set("X-Probe", "yes")
		resp, err := client.Do(req)
		if err != nil {
			return item, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return item, err
		}
		item.Value = gcnode.StringValue(resp.Header.Get("X-Answer") + " " + string(body))
		return item, nil
	})
}
