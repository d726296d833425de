package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// patience is how long checks wait for what happens at once: it only catches
// hangs.
const patience = 60 * time.Second

// probe has the checks of a probe.
type probe struct {
	*host

	opts ProbeOptions
}

func (s *probe) load(t T, opts wasm.Options) *wasm.Plugin {
	t.Helper()
	return closed(t)(s.tryLoad(t, opts))
}

func (s *probe) tryLoad(t T, opts wasm.Options) (*wasm.Plugin, error) {
	t.Helper()
	opts.Name, opts.CacheDir, opts.Instances = "probe", s.cache, 1
	opts.AllowFetch = []string{s.origin.url, s.origin.gone}
	if opts.Timeout == 0 {
		opts.Timeout = patience
	}
	if opts.StoreBytes == 0 {
		opts.StoreBytes = 1 << 16
	}
	return wasm.Load(t.Context(), s.module, opts)
}

func get(t T, p *wasm.Plugin, key string) string {
	t.Helper()
	item, err := p.GetItem(t.Context(), key)
	require.NoError(t, err, "%.100q", key)
	return item.Value.String()
}

func getError(t T, p *wasm.Plugin, key string, kind gcnode.Kind) string {
	t.Helper()
	_, err := p.GetItem(t.Context(), key)
	require.Error(t, err, "%.100q", key)
	assert.Equal(t, kind.String(), gcnode.KindOf(err).String(), "%.100q: %v", key, err)
	return err.Error()
}

func (s *probe) keys(t T) {
	p := s.load(t, wasm.Options{})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, key := range []string{
		"", "a", " ", "a+b", "a/b//c", ".", "..", "%2F", "\x00", "nul\x00nul", "not utf-8 \xff\xfe", "ends \xc3", "über",
		"a:b:c", string(all), strings.Repeat("k", gcnode.MaxKeyBytes-len("echo:")),
	} {
		assert.Equal(t, key, get(t, p, "echo:"+key))
	}
	getError(t, p, "", gcnode.KindPermanent)
	getError(t, p, "\xff\x00", gcnode.KindPermanent)
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "one instance answers everything")
}

func (s *probe) sizes(t T) {
	p := s.load(t, wasm.Options{MaxValueBytes: 8 << 20})
	for _, size := range []int{0, 1, 1023, 4096, 65535, 65536, 65537, 1 << 20, 8 << 20} {
		assert.Equal(t, strings.Repeat("x", size), get(t, p, "size:"+strconv.Itoa(size)))
	}
	getError(t, p, "size:"+strconv.Itoa(8<<20+1), gcnode.KindTooLarge)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func (s *probe) errors(t T) {
	p := s.load(t, wasm.Options{})
	for command, kind := range map[string]gcnode.Kind{
		"notfound:-1": gcnode.KindNotFound,
		"transient":   gcnode.KindTransient,
		"permanent":   gcnode.KindPermanent,
		"denied":      gcnode.KindDenied,
		"overloaded":  gcnode.KindOverloaded,
	} {
		assert.Contains(t, getError(t, p, command+":the reason: ü", kind), "the reason: ü")
		assert.NotContains(t, getError(t, p, command+":"+strings.Repeat("long ", 1000), kind), strings.Repeat("long ", 300))
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "an error is an ordinary answer")
}

func (s *probe) lifetimes(t T) {
	p := s.load(t, wasm.Options{})
	for key, want := range map[string]gcnode.Lifetime{
		"ttl:-1":            0,
		"ttl:1":             gcnode.For(time.Millisecond),
		"ttl:90000":         gcnode.For(90 * time.Second),
		"ttl:31536000000":   gcnode.For(365 * 24 * time.Hour),
		"nostore":           gcnode.NoStore,
		"echo:":             0,
		"notfound:-1:gone":  0,
		"notfound:60000:no": gcnode.For(time.Minute),
	} {
		item, err := p.GetItem(t.Context(), key)
		assert.Equal(t, want, item.Keep, key)
		if strings.HasPrefix(key, "notfound") {
			assert.Equal(t, gcnode.KindNotFound, gcnode.KindOf(err), key)
			continue
		}
		require.NoError(t, err, key)
		assert.Zero(t, item.Value.Len(), key)
	}
}

func (s *probe) settings(t T) {
	p := s.load(t, wasm.Options{Config: map[string]string{
		"name": "value", "empty": "", "ü": "ö", "long": strings.Repeat("v", 100_000),
		"seconds": "90s", "mixed": "1h30m", "millis": "250ms", "bad": "soon", "number": "12",
	}})
	for name, want := range map[string]string{
		"name": "value", "empty": "", "ü": "ö", "long": strings.Repeat("v", 100_000), "missing": "unset",
	} {
		assert.Equal(t, want, get(t, p, "setting:"+name))
	}
	for name, want := range map[string]string{
		"seconds": "90000", "mixed": "5400000", "millis": "250", "missing": "7",
		"bad": "invalid", "number": "invalid", "empty": "invalid",
	} {
		assert.Equal(t, want, get(t, p, "duration:"+name), name)
	}
}

func (s *probe) refusedSettings(t T) {
	_, err := s.tryLoad(t, wasm.Options{Config: map[string]string{"open": "fail"}})
	require.ErrorContains(t, err, "refused the configuration")
	require.ErrorContains(t, err, "told to fail")
}

func (s *probe) unknownSettings(t T) {
	s.load(t, wasm.Options{Config: map[string]string{"open": "strict", "known": "1"}})
	for _, unknown := range []string{"ope", "opens", "Known", "ttl", "ü", ""} {
		_, err := s.tryLoad(t, wasm.Options{Config: map[string]string{"open": "strict", "known": "1", unknown: "1", "also wrong": "2"}})
		require.ErrorContains(t, err, "refused the configuration", "%q", unknown)
		require.ErrorContains(t, err, `unknown setting "`+unknown+`": known are open, known`)
		require.ErrorContains(t, err, `unknown setting "also wrong"`)
	}
}

func (s *probe) log(t T) {
	lines := &recorder{}
	p := s.load(t, wasm.Options{Logger: slog.New(lines)})
	assert.Equal(t, "silent", get(t, p, "log:0:low"))
	for level := 1; level <= 3; level++ {
		assert.Equal(t, "logs", get(t, p, fmt.Sprintf("log:%d:a %%s line: ü", level)))
	}
	levels := lines.levelsOf("a %s line: ü")
	assert.Equal(t, []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError}, levels)
	assert.Empty(t, lines.levelsOf("low"))
}

func (s *probe) time(t T) {
	p := s.load(t, wasm.Options{})
	before := time.Now().UnixMilli()
	now := number(t, get(t, p, "now"))
	assert.GreaterOrEqual(t, now, before)
	assert.LessOrEqual(t, now, time.Now().UnixMilli())
	first := number(t, get(t, p, "monotonic"))
	assert.Greater(t, number(t, get(t, p, "monotonic")), first)
}

func number(t T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

func (s *probe) store(t T) {
	p := s.load(t, wasm.Options{})
	getError(t, p, "stored:k", gcnode.KindNotFound)
	for _, value := range []string{"first", "", "second: longer", strings.Repeat("v", 40_000)} {
		assert.Equal(t, "stored", get(t, p, "set:-1:k:"+value))
		assert.Equal(t, value, get(t, p, "stored:k"))
	}
	assert.Equal(t, "no room", get(t, p, "set:-1:k:"+strings.Repeat("v", 65_500)))
	getError(t, p, "stored:k", gcnode.KindNotFound)
	assert.Equal(t, "stored", get(t, p, "set:60000:k:v"))
	assert.Equal(t, "v", get(t, p, "stored:k"))
	assert.Equal(t, "stored", get(t, p, "set:0:k:"))
	getError(t, p, "stored:k", gcnode.KindNotFound)
	assert.Equal(t, "stored", get(t, p, "set:1:k:v"))
	until(t, func() bool {
		_, err := p.GetItem(t.Context(), "stored:k")
		return gcnode.KindOf(err) == gcnode.KindNotFound
	})
}

func (s *probe) escape(t T) {
	p := s.load(t, wasm.Options{})
	for segment, want := range map[string]string{
		"": "", "Az09-_~": "Az09-_~", "a.b": "a.b", ".": "%2E", "..": "%2E%2E",
		"a/b c?d#e%f+g&h": "a%2Fb%20c%3Fd%23e%25f%2Bg%26h", "ü\x00\xff": "%C3%BC%00%FF",
	} {
		assert.Equal(t, want, get(t, p, "escape:"+segment))
	}
}

func (s *probe) fetch(t T) {
	p := s.load(t, wasm.Options{})
	assert.Equal(t, "GET yes /a%2Fb?c=d&e", get(t, p, "fetch:"+s.origin.url+"/a%2Fb?c=d&e"))
	assert.Equal(t, "POST yes posted", get(t, p, "post:"+s.origin.url+"/"))
	assert.Equal(t, "GET yes /redirected", get(t, p, "fetch:"+s.origin.url+"/redirect"))
	assert.Equal(t, " ", get(t, p, "fetch:"+s.origin.url+"/empty"))
	assert.Equal(t, " \x00\xff\r\n", get(t, p, "fetch:"+s.origin.url+"/bytes"))
	assert.Equal(t, "GET yes /5", get(t, p, "again:5:"+s.origin.url+"/5"))
	for _, size := range []int{1 << 16, 8 << 20} {
		assert.Equal(t, " "+strings.Repeat("b", size), get(t, p, fmt.Sprintf("fetch:%s/size/%d", s.origin.url, size)))
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func (s *probe) fetchStatuses(t T) {
	p := s.load(t, wasm.Options{})
	for status, kind := range map[int]gcnode.Kind{
		404: gcnode.KindNotFound, 410: gcnode.KindNotFound,
		401: gcnode.KindDenied, 403: gcnode.KindDenied,
		429: gcnode.KindOverloaded, 503: gcnode.KindOverloaded,
		408: gcnode.KindTransient, 425: gcnode.KindTransient, 500: gcnode.KindTransient, 502: gcnode.KindTransient,
		400: gcnode.KindPermanent, 418: gcnode.KindPermanent,
	} {
		item, err := p.GetItem(t.Context(), fmt.Sprintf("fetch:%s/status/%d", s.origin.url, status))
		require.Error(t, err, "%d", status)
		assert.Equal(t, kind.String(), gcnode.KindOf(err).String(), "%d: %v", status, err)
		assert.ErrorContains(t, err, strconv.Itoa(status))
		if kind == gcnode.KindNotFound {
			assert.Equal(t, gcnode.For(time.Minute), item.Keep, "%d", status)
		}
	}
	for _, status := range []int{201, 299, 399} {
		assert.Equal(t, " status", get(t, p, fmt.Sprintf("fetch:%s/status/%d", s.origin.url, status)))
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func (s *probe) fetchFailures(t T) {
	p := s.load(t, wasm.Options{MaxFetches: 4})
	for key, want := range map[string]string{
		"failure:" + s.origin.url + "/":            "0",
		"failure:" + s.origin.url + "/status/500":  "0",
		"failure:no url":                           "1",
		"failure:http://elsewhere.invalid/":        "2",
		"failure:" + s.origin.gone + "/":           "3",
		"timeout:20:" + s.origin.url + "/hang":     "4",
		"limit:999:" + s.origin.url + "/size/1000": "5",
		"limit:1000:" + s.origin.url + "/size/999": "0",
	} {
		assert.Equal(t, want, get(t, p, key), key)
	}
	for key, kind := range map[string]gcnode.Kind{
		"fetch:" + s.origin.gone + "/":       gcnode.KindTransient,
		"fetch:http://elsewhere.invalid/":    gcnode.KindPermanent,
		"fetch:no url":                       gcnode.KindPermanent,
		"again:5:" + s.origin.url + "/":      gcnode.KindPermanent,
		"again:1000:" + s.origin.url + "/":   gcnode.KindPermanent,
		"fetch:" + s.origin.url + "/cut/100": gcnode.KindTransient,
	} {
		getError(t, p, key, kind)
	}
	assert.Equal(t, "4 8", get(t, p, "many:5:"+s.origin.url+"/m"), "a fetch too many is a failure like others")
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func (s *probe) manyFetches(t T) {
	p := s.load(t, wasm.Options{})
	assert.Equal(t, "100 1200", get(t, p, "many:100:"+s.origin.url+"/twelve/byte"))
	assert.Equal(t, fmt.Sprintf("10 %d", 10<<20), get(t, p, fmt.Sprintf("many:10:%s/size/%d", s.origin.url, 1<<20)))
	if s.opts.Blocking {
		return
	}
	release := s.origin.hold(t)
	done := make(chan string, 1)
	go func() {
		item, _ := p.GetItem(t.Context(), "many:20:"+s.origin.url+"/held")
		done <- item.Value.String()
	}()
	s.origin.arrivals(t, 20)
	release()
	assert.Equal(t, "20 100", <-done)
}

func (s *probe) manyRequests(t T) {
	const callers = 200
	p := s.load(t, wasm.Options{Pending: callers})
	release := s.origin.hold(t)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			path := fmt.Sprintf("/held/%d", i)
			item, err := p.GetItem(t.Context(), "fetch:"+s.origin.url+path)
			assert.NoError(t, err)
			assert.Equal(t, "GET yes "+path, item.Value.String())
		})
	}
	s.origin.arrivals(t, callers)
	until(t, func() bool { return p.Stats().Instances.Pending == callers })
	release()
	wg.Wait()
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

// beside is a check of guests that collect garbage: nothing wakes them as long
// as the pending request has no answer.
func (s *probe) beside(t T) {
	p := s.load(t, wasm.Options{Timeout: 20 * time.Second})
	release := s.origin.hold(t)
	done := make(chan string, 1)
	go func() {
		item, _ := p.GetItem(t.Context(), "fetch:"+s.origin.url+"/held")
		done <- item.Value.String()
	}()
	s.origin.arrivals(t, 1)
	for range 2000 {
		get(t, p, "size:65536")
	}
	release()
	assert.Equal(t, "GET yes /held", <-done)
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func (s *probe) canceledRequests(t T) {
	p := s.load(t, wasm.Options{MaxMemoryBytes: 16 << 20})
	release := s.origin.hold(t)
	key := "fetch:" + s.origin.url + "/held?" + strings.Repeat("q", 30_000)
	for range 600 { // 30 KB each, and more for what is fetched
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := p.GetItem(ctx, key)
			done <- err
		}()
		until(t, func() bool { return p.Stats().Instances.Pending == 1 })
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
	release()
	assert.Equal(t, "again", get(t, p, "echo:again"))
	assert.Equal(t, wasm.DiscardStats{}, p.Stats().Instances.Discarded, "what was canceled is freed")
}

func (s *probe) batch(t T) {
	p := s.load(t, wasm.Options{Timeout: patience})
	keys := []string{
		"echo:a", "fetch:" + s.origin.url + "/x", "notfound:1000:gone", "echo:\x00\xff", "fetch:" + s.origin.url + "/status/503",
		"", "many:3:" + s.origin.url + "/y", "size:1000000",
	}
	want := []string{"a", "GET yes /x", gcnode.KindNotFound.String(), "\x00\xff", gcnode.KindOverloaded.String(), gcnode.KindPermanent.String(), "3 6", strings.Repeat("x", 1_000_000)}
	got := make([]string, len(keys))
	require.NoError(t, p.GetItems(t.Context(), keys, func(i int, it gcnode.Item[gcnode.Value], err error) {
		got[i] = it.Value.String()
		if err != nil {
			got[i] = gcnode.KindOf(err).String()
		}
	}))
	assert.Equal(t, want, got)

	keys = make([]string, 2000)
	for i := range keys {
		keys[i] = fmt.Sprintf("echo:%d", i)
	}
	count := 0
	require.NoError(t, p.GetItems(t.Context(), keys, func(i int, it gcnode.Item[gcnode.Value], err error) {
		assert.NoError(t, err)
		assert.Equal(t, strconv.Itoa(i), it.Value.String())
		count++
	}))
	assert.Len(t, keys, count)
}

func (s *probe) trap(t T) {
	p := s.load(t, wasm.Options{})
	for range 3 {
		getError(t, p, "trap", gcnode.KindPermanent)
		assert.Equal(t, "again", get(t, p, "echo:again"))
	}
}

func (s *probe) deadline(t T) {
	p := s.load(t, wasm.Options{})
	for _, key := range []string{"spin", "fetch:" + s.origin.url + "/hang"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := p.GetItem(ctx, key)
		cancel()
		require.ErrorIs(t, err, gcnode.ErrTimeout, key)
		assert.Equal(t, "again", get(t, p, "echo:again"))
	}
}

func (s *probe) memory(t T) {
	p := s.load(t, wasm.Options{MaxMemoryBytes: 32 << 20})
	big := "echo:" + strings.Repeat("x", 60_000)
	for i := range 1000 {
		for _, key := range []string{big, "notfound:1:gone", "setting:missing", "ttl:5"} {
			_, err := p.GetItem(t.Context(), key)
			require.True(t, err == nil || gcnode.KindOf(err) == gcnode.KindNotFound, "%v", err)
		}
		if i%30 == 0 {
			get(t, p, "size:1000000")
			get(t, p, "fetch:"+s.origin.url+"/size/500000")
		}
	}
	assert.Equal(t, wasm.DiscardStats{}, p.Stats().Instances.Discarded)
}
