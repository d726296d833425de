// Command offline is a getter that never fetches.
package main

import (
	"context"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(*getter.Env) (getter.Func, error) {
	return func(_ context.Context, key string) (getter.Item, error) {
		return getter.Item{Value: []byte("offline " + key)}, nil
	}, nil
}
