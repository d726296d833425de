package sdktest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store getter.Store
		open := func(env *getter.Env) (getter.Func, error) {
			store = env.Store()
			return func(context.Context, string) (getter.Item, error) { return getter.Item{}, nil }, nil
		}
		start(t, open, sdktest.Options{StoreBytes: 10})
		wantStored := func(key, want string, wantFound bool) {
			t.Helper()
			if value, found := store.Get(key); found != wantFound || string(value) != want {
				t.Errorf("%s: %q, %v", key, value, found)
			}
		}
		wantStored("k", "", false)
		value := []byte("value")
		if !store.Set("k", value, 0) || !store.Set("brief", nil, time.Second) {
			t.Error("no room")
		}
		value[0] = 'x' // the store has a copy
		wantStored("k", "value", true)
		wantStored("brief", "", true)
		time.Sleep(time.Second)
		wantStored("brief", "", false)
		wantStored("k", "value", true)
		if store.Set("k", []byte(strings.Repeat("x", 10)), 0) {
			t.Error("more than there is room for")
		}
		wantStored("k", "", false)
		store.Set("k", []byte("v"), 0)
		store.Remove("k")
		wantStored("k", "", false)
	})
}
