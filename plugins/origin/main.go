// Command origin is a getter for what an HTTP origin has: the value of a key is
// the body of an answer, and lives as long as the origin says. When it has
// expired, the origin is asked whether it has changed (ETag, Last-Modified).
//
// Its settings are those of package httporigin, and:
//
//	revalidate_for   how long an expired value is worth asking about, default
//	                 24h; 0s: always load it anew
//
// What is asked about is kept in the store of the plugin, which has to have
// room for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	keep, err := env.Config.Duration("revalidate_for", 24*time.Hour)
	if err == nil && keep < 0 {
		err = fmt.Errorf("setting revalidate_for: %v is negative", keep)
	}
	origin, originErr := httporigin.New(env.Config, httporigin.Options{
		Own:        []string{"revalidate_for"},
		Validators: validators{env.Store(), keep},
	})
	if err := errors.Join(err, originErr); err != nil {
		return nil, err
	}
	return func(ctx context.Context, key string) (getter.Item, error) {
		document, err := origin.Load(ctx, key)
		return getter.Item{Value: document.Body, TTL: document.TTL}, err
	}, nil
}
