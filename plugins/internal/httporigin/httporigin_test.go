package httporigin_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// kept are validators in a map.
type kept map[string]httporigin.Validator

func (k kept) Get(url string) (httporigin.Validator, bool) {
	v, found := k[url]
	return v, found
}

func (k kept) Set(url string, v httporigin.Validator) { k[url] = v }

// start opens a getter that answers with documents.
func start(t *testing.T, handler http.HandlerFunc, validators httporigin.Validators, config getter.Config) *sdktest.Instance {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	all := getter.Config{"url": server.URL + "/{+key}"}
	maps.Copy(all, config)
	instance, err := sdktest.Start(func(env *getter.Env) (getter.Func, error) {
		origin, err := httporigin.New(env.Config, httporigin.Options{Validators: validators})
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, key string) (getter.Item, error) {
			document, err := origin.Load(ctx, key)
			return getter.Item{Value: document.Body, TTL: document.TTL}, err
		}, nil
	}, sdktest.Options{Config: all, Transport: server.Client().Transport})
	require.NoError(t, err)
	return instance
}

func TestHeaderRules(t *testing.T) {
	origin := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("Accept")+" "+r.Header.Get("X-Token"))
	}, nil, getter.Config{"header.Accept": "text/plain", "header.x-token": "secret"})
	for range 2 {
		assert.Equal(t, "GET /a/b text/plain secret", string(origin.Get(t.Context(), "a/b").Value))
	}
}

func TestStatuses(t *testing.T) {
	origin := start(t, func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(code)
	}, nil, nil)
	for code, want := range map[int]getter.Status{
		200: getter.StatusOK, 203: getter.StatusOK, 204: getter.StatusOK,
		201: getter.StatusPermanent, 206: getter.StatusPermanent, 304: getter.StatusPermanent,
		400: getter.StatusPermanent, 401: getter.StatusDenied, 403: getter.StatusDenied,
		404: getter.StatusNotFound, 410: getter.StatusNotFound,
		429: getter.StatusOverloaded, 500: getter.StatusTransient, 503: getter.StatusOverloaded,
	} {
		assert.Equal(t, want, origin.Get(t.Context(), strconv.Itoa(code)).Status, code)
	}
}

func TestLifetimesAreThoseOfTheOriginWithinLimits(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		code, control, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		status, _ := strconv.Atoi(code)
		w.WriteHeader(status)
	}
	limits := getter.Config{"min_ttl": "10s", "max_ttl": "1h", "ttl": "5m", "negative_ttl": "7s"}
	for _, c := range []struct {
		config getter.Config
		key    string
		want   time.Duration
	}{
		{nil, "200/", 0},
		{nil, "200/max-age=60", time.Minute},
		{nil, "200/no-store", getter.NoStore},
		{nil, "404/", 30 * time.Second},
		{nil, "404/max-age=60", time.Minute},
		{nil, "410/no-store", getter.NoStore},
		{limits, "200/", 5 * time.Minute},
		{limits, "200/max-age=1", 10 * time.Second},
		{limits, "200/no-cache", 10 * time.Second},
		{limits, "200/max-age=7200", time.Hour},
		{limits, "404/", 7 * time.Second},
		{limits, "404/max-age=7200", time.Hour},
		{getter.Config{"ttl": "0s", "negative_ttl": "0s"}, "200/", getter.NoStore},
		{getter.Config{"ttl": "0s", "negative_ttl": "0s"}, "404/", getter.NoStore},
	} {
		assert.Equal(t, c.want, start(t, handler, nil, c.config).Get(t.Context(), c.key).TTL, "%v %s", c.config, c.key)
	}
}

func TestWhatIsKeptIsRevalidated(t *testing.T) {
	const modified = "Fri, 02 Jan 2026 03:04:05 GMT"
	content, full, asked := "first", 0, ""
	validators := kept{}
	origin := start(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since")
		switch r.URL.Path {
		case "/etag":
			w.Header().Set("ETag", `W/"`+content+`"`)
		case "/modified":
			w.Header().Set("Last-Modified", modified)
		case "/secret":
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Cache-Control", "no-store")
		}
		if asked == `W/"`+content+`"` || asked == modified {
			w.Header().Set("Cache-Control", "max-age=90")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full++
		_, _ = io.WriteString(w, content)
	}, validators, nil)

	assert.Equal(t, "first", string(origin.Get(t.Context(), "etag").Value))
	assert.Empty(t, asked)
	for range 2 {
		again := origin.Get(t.Context(), "etag")
		assert.Equal(t, "first", string(again.Value))
		assert.Equal(t, 90*time.Second, again.TTL, "the life that 304 gives")
	}
	assert.Equal(t, 1, full, "the body travelled once")
	content = "second"
	assert.Equal(t, "second", string(origin.Get(t.Context(), "etag").Value))
	assert.Equal(t, `W/"first"`, asked)
	assert.Equal(t, "second", string(origin.Get(t.Context(), "etag").Value))
	assert.Equal(t, 2, full)

	for range 2 {
		assert.Equal(t, "second", string(origin.Get(t.Context(), "modified").Value))
	}
	assert.Equal(t, 3, full)
	for range 2 {
		origin.Get(t.Context(), "secret")
		origin.Get(t.Context(), "plain")
	}
	assert.Equal(t, 7, full)
	assert.Len(t, validators, 2, "nothing is kept that must not be, or cannot be asked for")
}

func TestFailuresOfTheOrigin(t *testing.T) {
	origin := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "12345")
	}, nil, getter.Config{"timeout": "30ms", "max_bytes": "4"})
	assert.Equal(t, getter.StatusTransient, origin.Get(t.Context(), "hang").Status)
	assert.Equal(t, getter.StatusPermanent, origin.Get(t.Context(), "large").Status)
}

func TestWrongSettingsAreAllNamed(t *testing.T) {
	_, err := httporigin.New(getter.Config{
		"url": "users", "ttl": "soon", "negative_ttl": "-1s", "min_ttl": "2h", "max_ttl": "1h",
		"timeout": "-1s", "max_bytes": "0", "colour": "red", "header.": "x", "header.If-None-Match": "x",
	}, httporigin.Options{Own: []string{"own"}})
	for _, want := range []string{
		"setting url", "setting ttl", "setting negative_ttl", "setting min_ttl", "setting timeout", "setting max_bytes",
		`unknown setting "colour"`, "own", "setting header.: has no name", "setting header.If-None-Match: is the getter's",
	} {
		require.ErrorContains(t, err, want)
	}
}
