package getterhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/getterhttp"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// get runs a getter that calls do with an ordinary client.
func get(t *testing.T, transport http.RoundTripper, do func(ctx context.Context, client *http.Client) error) getter.Answer {
	t.Helper()
	instance, err := sdktest.Start(func(*getter.Env) (getter.Func, error) {
		client := &http.Client{Transport: getterhttp.Transport{MaxBodyBytes: 1000}}
		return func(ctx context.Context, _ string) (getter.Item, error) {
			return getter.Item{}, do(ctx, client)
		}, nil
	}, sdktest.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return instance.Get(t.Context(), "k")
}

func TestOrdinaryClientWorks(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-B", "1")
		w.Header().Add("X-B", "2")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.Method+" "+r.Host+" "+strings.Join(r.Header["X-A"], ",")+" "+string(body))
	}))
	defer server.Close()
	answer := get(t, server.Client().Transport, func(ctx context.Context, client *http.Client) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("body"))
		if err != nil {
			return err
		}
		request.Host = "other"
		request.Header["X-A"] = []string{"1", "2"}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if got, want := string(body), "POST other 1,2 body"; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
		if response.Status != "418 I'm a teapot" || response.StatusCode != http.StatusTeapot {
			t.Errorf("status %q, %d", response.Status, response.StatusCode)
		}
		if got := response.Header.Values("X-B"); len(got) != 2 {
			t.Errorf("header %v", got)
		}
		return nil
	})
	if answer.Status != getter.StatusOK {
		t.Errorf("%+v", answer)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	answer := get(t, http.DefaultTransport, func(ctx context.Context, client *http.Client) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, gone.URL, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		var failed *getter.FetchError
		if !errors.As(err, &failed) || failed.Failure != getter.FailureUnreachable {
			t.Errorf("%v", err)
		}
		return err
	})
	if answer.Status != getter.StatusTransient {
		t.Errorf("%+v", answer)
	}
}
