// Command hello is the smallest getter that does something useful: it fetches
// a JSON document for a user from an origin, with a setting, a TTL, and errors
// that say what they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {} // never called: a getter is a library

func init() { getter.Register(open) }

// open is called once per instance, with the settings from the node's
// configuration. An error refuses the module.
func open(env *getter.Env) (getter.Func, error) {
	origin := env.Config.String("origin", "http://127.0.0.1:9000")
	ttl, err := env.Config.Duration("ttl", 10*time.Minute)
	if err := errors.Join(err, env.Config.Only("origin", "ttl")); err != nil {
		return nil, err
	}
	logger := env.Logger()

	// What is returned here is called for each key, in a goroutine of its own.
	return func(ctx context.Context, user string) (getter.Item, error) {
		if user == "" {
			return getter.Item{TTL: time.Hour}, fmt.Errorf("%w: a user has a name", getter.ErrNotFound)
		}
		response, err := getter.Fetch(ctx, getter.FetchRequest{URL: origin + "/users/" + getter.Escape(user)})
		if err != nil {
			return getter.Item{}, err // unreachable, timeout, not allowed, …
		}
		if err := response.Err(); err != nil {
			return getter.Item{TTL: time.Minute}, err // 404 becomes not found, 5xx transient, …
		}
		logger.DebugContext(ctx, "loaded", slog.String("user", user), slog.Int("bytes", len(response.Body)))
		return getter.Item{Value: response.Body, TTL: ttl}, nil
	}, nil
}
