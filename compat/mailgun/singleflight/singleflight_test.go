package singleflight_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/singleflight"
)

func TestOneCallForAllWhoAsk(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	for what, test := range map[string]struct {
		fn   func() (any, error)
		val  any
		want string
	}{
		"value": {func() (any, error) { return 7, nil }, 7, ""},
		"error": {func() (any, error) { return nil, errBroken }, nil, "broken"},
		"panic": {func() (any, error) { panic("oops") }, nil, "oops"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g singleflight.Group
				proceed := make(chan struct{})
				calls := 0
				for range 5 {
					go func() {
						v, err := g.Do("key", func() (any, error) {
							calls++
							<-proceed
							return test.fn()
						})
						assert.Equal(t, test.val, v)
						if test.want == "" {
							assert.NoError(t, err)
						} else {
							assert.ErrorContains(t, err, test.want)
						}
					}()
					synctest.Wait()
				}
				close(proceed)
				synctest.Wait()
				assert.Equal(t, 1, calls)
				v, err := g.Do("key", func() (any, error) { return "again", nil })
				require.NoError(t, err)
				assert.Equal(t, "again", v)
			})
		})
	}
}

func TestTheEndOfAGoroutineHangsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		proceed := make(chan struct{})
		go func() {
			_, _ = g.Do("key", func() (any, error) {
				<-proceed
				runtime.Goexit()
				return 1, nil
			})
		}()
		synctest.Wait()
		var err error
		go func() { _, err = g.Do("key", nil) }()
		synctest.Wait()
		close(proceed)
		synctest.Wait()
		require.Error(t, err)
	})
}

func TestNothingBeginsNorEndsInALock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		proceed := make(chan struct{})
		ended := false
		go func() {
			_, _ = g.Do("key", func() (any, error) { <-proceed; return 1, nil })
			ended = true
		}()
		synctest.Wait()
		g.Lock(func() {
			close(proceed)
			assert.False(t, ended)
		})
		synctest.Wait()
		assert.True(t, ended)
	})
}
