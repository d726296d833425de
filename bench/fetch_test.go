package bench_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gcnode/gcnode/bench/remote"
)

const (
	// fetchTime is how long fetches are measured.
	fetchTime = 700 * time.Millisecond
	// fetchLimit is when a measurement has failed.
	fetchLimit = time.Minute
	// largeBytes is the size of values that hold up others.
	largeBytes = 1 << 20
)

// fetch is a measurement of fetches from another process.
type fetch struct {
	Load load
	// Beside is the load that comes on top when Load has been measured alone.
	Beside load
	Period time.Duration
}

// BenchmarkFetch gets values of 128 bytes from another process, over loopback.
func BenchmarkFetch(b *testing.B) {
	for _, callers := range []int{1, 4, 16, 32, 64, 128, 256} {
		fetchFromAll(b, fmt.Sprintf("callers=%d", callers), fetch{Load: load{callers, valueBytes}})
	}
}

// BenchmarkFetchLarge does so with larger values.
func BenchmarkFetchLarge(b *testing.B) {
	fetchFromAll(b, "size=4KiB/callers=128", fetch{Load: load{128, 4 << 10}})
	fetchFromAll(b, "size=1MiB/callers=16", fetch{Load: load{16, largeBytes}})
}

// BenchmarkFetchBeside gets values of 128 bytes while others get large ones.
func BenchmarkFetchBeside(b *testing.B) {
	for _, large := range []int{4, 16} {
		fetchFromAll(b, fmt.Sprintf("callers=16/large=%d", large), fetch{Load: load{16, valueBytes}, Beside: load{large, largeBytes}})
	}
}

// fetchFromAll measures all contestants, one after the other. Those that are
// not to be had are named in a line of their own.
func fetchFromAll(b *testing.B, labels string, f fetch) {
	b.Helper()
	f.Period = time.Duration(amount(int(fetchTime)))
	for _, c := range remote.All() {
		if err := c.Missing(); err != nil {
			fmt.Printf("without-%s: %v\n", c.Name, err) // a line of configuration in the format of benchmarks
			continue
		}
		b.Run(labels+"/impl="+c.Name, func(b *testing.B) {
			var m measures
			for b.Loop() {
				m = inChild(b, job{Impl: c.Name, Fetch: f})
			}
			m.report(b)
		})
	}
}

// measureFetch is the client; the server is another process.
func measureFetch(j job) (m measures, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchLimit)
	defer cancel()
	c, err := remote.Named(j.Impl)
	if err != nil {
		return nil, err
	}
	server, err := c.Start(ctx, j.Fetch.content())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client, err := c.Dial(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := j.Fetch.check(ctx, client); err != nil {
		return nil, err
	}
	callers := newCrowd(j.Fetch.Load)
	// A quarter of the time goes by before anything is measured.
	if _, err := callers.run(ctx, client.Get, j.Fetch.Period/4); err != nil {
		return nil, err
	}
	if j.Fetch.Beside.Callers > 0 {
		return j.Fetch.beside(ctx, callers, client)
	}
	return j.Fetch.alone(ctx, c.Name, callers, client, server)
}

// content is what the server needs.
func (f fetch) content() remote.Content {
	content := remote.Content{f.Load.keys()}
	if f.Beside.Callers > 0 {
		content = append(content, f.Beside.keys())
	}
	return content
}

// check compares every value, to the last byte.
func (f fetch) check(ctx context.Context, client *remote.Client) error {
	for _, keys := range f.content() {
		for _, want := range keys.Wants(0, keys.Count) {
			want.Whole = true
			if err := client.Get(ctx, want); err != nil {
				return err
			}
		}
	}
	return nil
}

// alone measures the load; the name is that of the profile.
func (f fetch) alone(ctx context.Context, name string, callers *crowd, client *remote.Client, server *remote.Process) (measures, error) {
	before, err := server.Usage()
	if err != nil {
		return nil, err
	}
	profiled, err := remote.Profile(name + "-client")
	if err != nil {
		return nil, err
	}
	mine := remote.SelfUsage()
	o, err := callers.run(ctx, client.Get, f.Period)
	if err := errors.Join(err, profiled()); err != nil {
		return nil, err
	}
	mineAfter := remote.SelfUsage()
	after, err := server.Usage()
	if err != nil {
		return nil, err
	}
	connections, err := server.Connections()
	if err != nil {
		return nil, err
	}
	n := float64(len(o.took))
	m := measures{
		"requests":         n,
		"requests/s":       o.perSecond(),
		"MB/s":             o.megabytesPerSecond(f.Load),
		"p50-us":           us(o.took.quantile(0.5)),
		"p99-us":           us(o.took.quantile(0.99)),
		"client-allocs/op": float64(mineAfter.Allocs-mine.Allocs) / n,
	}
	if after.Counted {
		m["server-allocs/op"] = float64(after.Allocs-before.Allocs) / n
	}
	if mineAfter.CPU > 0 { // it is known here
		m["cpu-us/op"] = us(mineAfter.CPU-mine.CPU+after.CPU-before.CPU) / n
	}
	if connections > 0 { // they are known here
		m["connections"] = float64(connections)
	}
	return m, nil
}

// beside measures the load alone, and then with the other one.
func (f fetch) beside(ctx context.Context, callers *crowd, client *remote.Client) (measures, error) {
	alone, err := callers.run(ctx, client.Get, f.Period)
	if err != nil {
		return nil, err
	}
	others := newCrowd(f.Beside)
	var both, other outcome
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { both, err = callers.run(ctx, client.Get, f.Period); return err })
	group.Go(func() (err error) { other, err = others.run(ctx, client.Get, f.Period); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	aloneP99, besideP99 := us(alone.took.quantile(0.99)), us(both.took.quantile(0.99))
	return measures{
		"requests":          float64(len(both.took)),
		"alone-p99-us":      aloneP99,
		"beside-p99-us":     besideP99,
		"beside/alone-p99":  besideP99 / aloneP99,
		"beside-requests/s": both.perSecond(),
		"beside-MB/s":       other.megabytesPerSecond(f.Beside),
	}, nil
}

// TestMeasureFetch wants the figures to be there that the tables have.
func TestMeasureFetch(t *testing.T) {
	small := fetch{Load: load{4, valueBytes}, Period: 20 * time.Millisecond}
	beside := small
	beside.Beside = load{2, largeBytes}
	for name, test := range map[string]struct {
		fetch fetch
		units []string
	}{
		"alone": {small, []string{
			"requests", "requests/s", "MB/s", "p50-us", "p99-us", "cpu-us/op", "client-allocs/op", "server-allocs/op", "connections",
		}},
		"beside": {beside, []string{
			"requests", "alone-p99-us", "beside-p99-us", "beside/alone-p99", "beside-requests/s", "beside-MB/s",
		}},
	} {
		m, err := measureFetch(job{Impl: "net-http", Fetch: test.fetch})
		require.NoError(t, err, name)
		assert.ElementsMatch(t, test.units, slices.Collect(maps.Keys(m)), name)
		for unit, v := range m {
			assert.Positive(t, v, "%s: %s", name, unit)
		}
	}
	_, err := measureFetch(job{Impl: "nobody", Fetch: small})
	require.ErrorContains(t, err, "nobody")
}
