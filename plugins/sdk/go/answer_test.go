package getter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func TestErrorsDecideTheStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want getter.Status
	}{
		{nil, getter.StatusOK},
		{getter.ErrNotFound, getter.StatusNotFound},
		{fmt.Errorf("%w: user 7", getter.ErrNotFound), getter.StatusNotFound},
		{fmt.Errorf("load: %w", errors.Join(errors.New("x"), getter.ErrDenied)), getter.StatusDenied},
		{getter.ErrTransient, getter.StatusTransient},
		{getter.ErrPermanent, getter.StatusPermanent},
		{getter.ErrOverloaded, getter.StatusOverloaded},
		{errors.New("something"), getter.StatusTransient},
		{context.DeadlineExceeded, getter.StatusTransient},
		{&getter.StatusError{Code: 404}, getter.StatusNotFound},
		{&getter.StatusError{Code: 403}, getter.StatusDenied},
		{&getter.StatusError{Code: 429}, getter.StatusOverloaded},
		{&getter.StatusError{Code: 500}, getter.StatusTransient},
		{&getter.StatusError{Code: 418}, getter.StatusPermanent},
		{&getter.FetchError{Failure: getter.FailureUnreachable}, getter.StatusTransient},
		{&getter.FetchError{Failure: getter.FailureTimeout}, getter.StatusTransient},
		{fmt.Errorf("x: %w", &getter.FetchError{Failure: getter.FailureDenied}), getter.StatusPermanent},
		{&getter.FetchError{Failure: getter.FailureTooMany}, getter.StatusPermanent},
	} {
		get := getter.Func(func(context.Context, string) (getter.Item, error) {
			return getter.Item{Value: []byte("v"), TTL: time.Second}, c.err
		})
		answer := get.Answer(t.Context(), "k")
		if answer.Status != c.want {
			t.Errorf("%v: %v, want %v", c.err, answer.Status, c.want)
		}
		keepsTTL := c.want == getter.StatusOK || c.want == getter.StatusNotFound
		if (answer.TTL == time.Second) != keepsTTL {
			t.Errorf("%v: TTL %v", c.err, answer.TTL)
		}
		if c.err == nil {
			if string(answer.Value) != "v" || answer.Message != "" {
				t.Errorf("ok: %+v", answer)
			}
		} else if answer.Value != nil || answer.Message != c.err.Error() {
			t.Errorf("%v: %+v", c.err, answer)
		}
	}
}

func TestPanicIsAPermanentError(t *testing.T) {
	get := getter.Func(func(_ context.Context, key string) (getter.Item, error) {
		return getter.Item{Value: []byte(key[len(key):][:1])}, nil
	})
	answer := get.Answer(t.Context(), "k")
	if answer.Status != getter.StatusPermanent || !strings.Contains(answer.Message, "out of range") {
		t.Errorf("%+v", answer)
	}
	if !strings.Contains(answer.Stack, "TestPanicIsAPermanentError") {
		t.Errorf("stack does not lead to the panic: %s", answer.Stack)
	}
}

func TestContextEndsWithTheCall(t *testing.T) {
	seen := make(chan context.Context, 1)
	get := getter.Func(func(ctx context.Context, _ string) (getter.Item, error) {
		seen <- ctx
		return getter.Item{}, ctx.Err()
	})
	if answer := get.Answer(t.Context(), "k"); answer.Status != getter.StatusOK {
		t.Errorf("%+v", answer)
	}
	kept := <-seen
	if kept.Err() == nil {
		t.Error("the context outlives the call")
	}
	if _, err := getter.Fetch(kept, getter.FetchRequest{URL: "http://x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch after the call: %v", err)
	}
}

func TestFetchNeedsARequest(t *testing.T) {
	_, err := getter.Fetch(t.Context(), getter.FetchRequest{URL: "http://x"})
	if !errors.Is(err, getter.ErrPermanent) {
		t.Errorf("%v", err)
	}
	wantText(t, err, "http://x", "context")
}

func TestHeaderIsFoundInAnyCase(t *testing.T) {
	header := getter.Header{{Name: "eTag", Value: "1"}, {Name: "ETag", Value: "2"}}
	if got := header.Get("ETAG"); got != "1" {
		t.Errorf("%q", got)
	}
	if got := header.Get("absent"); got != "" {
		t.Errorf("%q", got)
	}
}
