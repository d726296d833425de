package sdktest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// fetching returns an Open whose getter makes the request that the test wants
// and answers with the body.
func fetching(request getter.FetchRequest, seen *error) getter.Open {
	return func(*getter.Env) (getter.Func, error) {
		return func(ctx context.Context, _ string) (getter.Item, error) {
			response, err := getter.Fetch(ctx, request)
			*seen = err
			if err != nil {
				return getter.Item{}, err
			}
			return getter.Item{Value: response.Body}, response.Err()
		}, nil
	}
}

func start(t *testing.T, open getter.Open, options sdktest.Options) *sdktest.Instance {
	t.Helper()
	instance, err := sdktest.Start(open, options)
	if err != nil {
		t.Fatal(err)
	}
	return instance
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestFetchReachesTheOrigin(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Host", r.Host)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-A")+" "+string(body))
	})
	var err error
	instance := start(t, fetching(getter.FetchRequest{
		Method: "PUT",
		URL:    server.URL + "/a%2Fb?c=d",
		Header: getter.Header{{Name: "X-A", Value: "1"}, {Name: "Host", Value: "other"}},
		Body:   []byte("body"),
	}, &err), sdktest.Options{Transport: server.Client().Transport})
	answer := instance.Get(t.Context(), "k")
	if got, want := string(answer.Value), "PUT /a%2Fb?c=d 1 body"; got != want {
		t.Errorf("%q (%+v), want %q", got, answer, want)
	}
	if got, want := instance.Fetched(), []string{server.URL + "/a%2Fb?c=d"}; !reflect.DeepEqual(got, want) {
		t.Errorf("fetched %v", got)
	}
}

func TestFailuresOfFetch(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "0123456789")
	})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	withTransport := sdktest.Options{Transport: server.Client().Transport}
	for name, c := range map[string]struct {
		request getter.FetchRequest
		options sdktest.Options
		want    getter.Failure
		status  getter.Status
	}{
		"denied":      {getter.FetchRequest{URL: server.URL}, sdktest.Options{}, getter.FailureDenied, getter.StatusPermanent},
		"malformed":   {getter.FetchRequest{URL: "http://a b"}, withTransport, getter.FailureMalformed, getter.StatusPermanent},
		"relative":    {getter.FetchRequest{URL: "/a"}, withTransport, getter.FailureMalformed, getter.StatusPermanent},
		"method":      {getter.FetchRequest{URL: server.URL, Method: "G E T"}, withTransport, getter.FailureMalformed, getter.StatusPermanent},
		"unreachable": {getter.FetchRequest{URL: gone.URL}, withTransport, getter.FailureUnreachable, getter.StatusTransient},
		"timeout":     {getter.FetchRequest{URL: server.URL + "/slow", Timeout: 20 * time.Millisecond}, withTransport, getter.FailureTimeout, getter.StatusTransient},
		"too large":   {getter.FetchRequest{URL: server.URL, MaxBodyBytes: 9}, withTransport, getter.FailureTooLarge, getter.StatusPermanent},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			answer := start(t, fetching(c.request, &err), c.options).Get(t.Context(), "k")
			var failed *getter.FetchError
			if !errors.As(err, &failed) {
				t.Fatalf("%v", err)
			}
			if failed.Failure != c.want || failed.URL != c.request.URL || failed.Message == "" {
				t.Errorf("%+v", failed)
			}
			if answer.Status != c.status {
				t.Errorf("%+v", answer)
			}
		})
	}
}

func TestBodyOfExactlyTheLimitIsAccepted(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") })
	var err error
	open := fetching(getter.FetchRequest{URL: server.URL, MaxBodyBytes: 10}, &err)
	answer := start(t, open, sdktest.Options{Transport: server.Client().Transport}).Get(t.Context(), "k")
	if string(answer.Value) != "0123456789" {
		t.Errorf("%+v", answer)
	}
}

func TestDeadlineOfTheContextLimitsAFetch(t *testing.T) {
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	open := func(*getter.Env) (getter.Func, error) {
		return func(ctx context.Context, _ string) (getter.Item, error) {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			_, err := getter.Fetch(ctx, getter.FetchRequest{URL: server.URL})
			return getter.Item{}, err
		}, nil
	}
	answer := start(t, open, sdktest.Options{Transport: server.Client().Transport}).Get(t.Context(), "k")
	if answer.Status != getter.StatusTransient {
		t.Errorf("%+v", answer)
	}
}

func TestLogLines(t *testing.T) {
	open := func(env *getter.Env) (getter.Func, error) {
		logger := env.Logger().With(slog.String("who", "me"))
		logger.LogAttrs(context.Background(), slog.LevelInfo, "opened", slog.Int("n", 1))
		return func(ctx context.Context, key string) (getter.Item, error) {
			logger.LogAttrs(ctx, slog.LevelDebug, "unseen")
			logger.WithGroup("g").LogAttrs(ctx, slog.LevelError, "two\nlines", slog.String("level", key))
			return getter.Item{}, nil
		}, nil
	}
	instance := start(t, open, sdktest.Options{})
	instance.Get(t.Context(), "k")
	want := []sdktest.Line{
		{Level: slog.LevelInfo, Text: `msg=opened who=me n=1`},
		{Level: slog.LevelError, Text: `msg="two\nlines" who=me g.level=k`},
	}
	if got := instance.Log(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOpenThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		open getter.Open
		want string
	}{
		"error":   {func(env *getter.Env) (getter.Func, error) { return nil, env.Config.Only() }, `unknown setting "a"`},
		"nothing": {func(*getter.Env) (getter.Func, error) { return nil, nil }, "without a function"},
		"panic":   {func(*getter.Env) (getter.Func, error) { panic("told to") }, "panicked"},
	} {
		_, err := sdktest.Start(c.open, sdktest.Options{Config: getter.Config{"a": "b"}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
