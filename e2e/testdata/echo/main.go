// Command echo is a getter that answers with the key in hexadecimal. With the
// setting rogue some keys do to it what no getter should do.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	rogue, err := env.Config.Bool("rogue", false)
	if err := errors.Join(err, env.Config.Only("rogue")); err != nil {
		return nil, err
	}
	return func(_ context.Context, key string) (getter.Item, error) {
		if rogue {
			misbehave(key)
		}
		return getter.Item{Value: []byte(hex.EncodeToString([]byte(key))), TTL: time.Minute}, nil
	}, nil
}

// misbehave does what a key says.
func misbehave(key string) {
	switch key {
	case "loop":
		for {
		}
	case "panic":
		panic("told to panic")
	case "exit":
		os.Exit(7)
	case "memory":
		for hoard := [][]byte{}; ; {
			hoard = append(hoard, make([]byte, 1<<20))
		}
	}
}
