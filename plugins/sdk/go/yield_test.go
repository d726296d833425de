package getter_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

func TestYieldTellsThatNobodyWaits(t *testing.T) {
	instance, err := sdktest.Start(func(*getter.Env) (getter.Func, error) {
		return func(ctx context.Context, _ string) (getter.Item, error) { return getter.Item{}, getter.Yield(ctx) }, nil
	}, sdktest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if answer := instance.Get(t.Context(), "a"); answer.Status != getter.StatusOK {
		t.Errorf("%+v", answer)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if answer := instance.Get(ctx, "a"); !strings.Contains(answer.Message, context.Canceled.Error()) {
		t.Errorf("%+v", answer)
	}
	if err := getter.Yield(t.Context()); !errors.Is(err, getter.ErrPermanent) {
		t.Errorf("outside of a request: %v", err)
	}
}
