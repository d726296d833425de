// Command versions is a getter whose values are what its origin answers for a
// key.
package main

import (
	"context"
	"errors"
	"net/url"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	origin := env.Config.String("origin", "")
	if err := env.Config.Only("origin"); err != nil {
		return nil, err
	}
	if origin == "" {
		return nil, errors.New("origin is required")
	}
	return func(ctx context.Context, key string) (getter.Item, error) {
		response, err := getter.Fetch(ctx, getter.FetchRequest{URL: origin + "?key=" + url.QueryEscape(key)})
		if err != nil {
			return getter.Item{}, err
		}
		if err := response.Err(); err != nil {
			return getter.Item{}, err
		}
		return getter.Item{Value: response.Body}, nil
	}, nil
}
