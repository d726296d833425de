package wasm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

var _ gcnode.BatchGetter[gcnode.Value] = (*Switch)(nil)

// versionGuest answers with its version for every key but "endless".
func versionGuest(t *testing.T, version byte) *Plugin {
	t.Helper()
	a, f := newHostile()
	code := slices.Concat(
		localGet(1), constI32(int32(len("endless"))), []byte{opEq, opIf, opVoid}, forever(), []byte{opEnd},
		storeI32(0, constI32(int32(version))...), respondWith(f.respond, statusOK, ttlDefault, 0, 1))
	p, err := Load(t.Context(), a.getter(code...).bytes(), Options{Instances: 2, Timeout: patience})
	require.NoError(t, err)
	return p
}

func TestExchangeEndsRequestsInTheOldModule(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	old := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	s := NewSwitch(old)
	before := make(chan outcome, 1)
	go func() {
		item, err := s.GetItem(t.Context(), "fetch:"+origin.url+"/wait")
		before <- outcome{item.Value.String(), err}
	}()
	waitPending(t, old, 1)
	exchanged := make(chan error, 1)
	go func() { exchanged <- s.Exchange(t.Context(), versionGuest(t, '2')) }()
	require.Eventually(t, func() bool { return s.Plugin() != old }, patience, time.Millisecond)
	item, err := s.GetItem(t.Context(), "key")
	require.NoError(t, err)
	assert.Equal(t, "2", item.Value.String(), "the new one answers meanwhile")
	close(origin.open)
	assert.Equal(t, outcome{"body of /wait", nil}, <-before)
	require.NoError(t, <-exchanged)
	assert.Zero(t, old.Stats().Instances.Live)
	require.NoError(t, s.Close(t.Context()))
	_, err = s.GetItem(t.Context(), "key")
	wantKind(t, err, gcnode.KindDraining)
}

func TestExchangeBeginsStoppedRequestsAgain(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	old := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	s := NewSwitch(old)
	stopped := make(chan outcome, 3)
	go func() {
		item, err := s.GetItem(t.Context(), "fetch:"+origin.url+"/wait")
		stopped <- outcome{item.Value.String(), err}
	}()
	go func() {
		err := s.GetItems(t.Context(), []string{"fetch:" + origin.url + "/wait/1", "fetch:" + origin.url + "/wait/2"},
			func(_ int, it gcnode.Item[gcnode.Value], err error) { stopped <- outcome{it.Value.String(), err} })
		assert.NoError(t, err)
	}()
	waitPending(t, old, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Exchange(ctx, versionGuest(t, '2')), context.Canceled)
	for range 3 {
		assert.Equal(t, outcome{"2", nil}, <-stopped)
	}
	require.NoError(t, s.Close(t.Context()))
}

// Modules are exchanged again and again while they are asked, one by one and
// several at once: no request fails, and nothing is left of the old ones.
func TestHammerExchanges(t *testing.T) {
	t.Parallel()
	const exchanges, callers = 50, 4
	s := NewSwitch(versionGuest(t, '0'))
	var over atomic.Bool
	var asking sync.WaitGroup
	for i := range callers {
		asking.Go(func() {
			for !over.Load() {
				_, err := s.GetItem(t.Context(), "key")
				failed := errors.Join(err, s.GetItems(t.Context(), []string{"a", "b", "c"}, func(at int, it gcnode.Item[gcnode.Value], err error) {
					if err != nil || at < 0 || at > 2 || it.Value.Len() != 1 {
						t.Errorf("key %d of caller %d: %q, %v", at, i, it.Value, err)
					}
				}))
				if failed != nil {
					t.Errorf("caller %d: %v", i, failed)
					return
				}
			}
		})
	}
	for i := range exchanges {
		old := s.Plugin()
		require.NoError(t, s.Exchange(t.Context(), versionGuest(t, byte('0'+i%10))), "exchange %d", i)
		assert.Zero(t, old.Stats().Instances.Live)
	}
	over.Store(true)
	asking.Wait()
	require.NoError(t, s.Close(t.Context()))
}
