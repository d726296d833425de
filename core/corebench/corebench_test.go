package corebench_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gcnode/gcnode/core/corebench"
)

func TestStore(t *testing.T) {
	s := corebench.New(1 << 20)
	if _, ok := s.Get("k"); ok {
		t.Error("an empty store had it")
	}
	if !s.Set("k", "v", 0) || !s.Set("l", "w", int64(time.Hour)) {
		t.Error("not stored")
	}
	for key, want := range map[string]string{"k": "v", "l": "w"} {
		if v, ok := s.Get(key); !ok || v != want {
			t.Errorf("key %q: got %q, %v", key, v, ok)
		}
	}
	if s.Set("large", strings.Repeat("x", 1<<20), 0) {
		t.Error("stored what cannot fit")
	}
	if s.Len() != 2 || s.Bytes() <= 0 || s.Bytes() > 1<<20 {
		t.Errorf("%d entries, %d bytes", s.Len(), s.Bytes())
	}
}

func TestFlights(t *testing.T) {
	calls := 0
	f := corebench.NewFlights(func(_ context.Context, key string) (string, error) {
		calls++
		return key + strconv.Itoa(calls), nil
	})
	for i := range 2 { // the first has ended, so the second is a call of its own
		v, err := f.Do(t.Context(), "k")
		if v != "k"+strconv.Itoa(i+1) || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
	}
}
