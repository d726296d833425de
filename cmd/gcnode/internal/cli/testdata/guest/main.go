// Command guest is the getter of the command line's tests. Without an origin
// it answers "value of <key>". With one, the key is the path of a directory:
// the answer is the text of the Go files that the directory's listing names.
package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	if err := env.Config.Only("origin", "format", "refuse"); err != nil {
		return nil, err
	}
	if reason := env.Config.String("refuse", ""); reason != "" {
		return nil, fmt.Errorf("told to refuse: %s", reason)
	}
	origin := env.Config.String("origin", "")
	if origin == "" {
		return echo, nil
	}
	return tree(origin).get, nil
}

// echo answers without asking anybody.
func echo(_ context.Context, key string) (getter.Item, error) {
	switch key {
	case "missing":
		return getter.Item{TTL: time.Minute}, getter.ErrNotFound
	case "denied":
		return getter.Item{}, getter.ErrDenied
	}
	return getter.Item{Value: []byte("value of " + key), TTL: time.Minute}, nil
}

// tree is the URL of a file server.
type tree string

// get answers with the files of a directory. A file called stuck.go keeps it
// busy for ever.
func (t tree) get(ctx context.Context, key string) (getter.Item, error) {
	listing, err := t.fetch(ctx, "/"+key+"/")
	if err != nil {
		return getter.Item{}, err
	}
	var all []byte
	for _, line := range strings.Split(string(listing), "\n") {
		_, name, ok := strings.Cut(line, `href="`)
		name, _, _ = strings.Cut(name, `"`)
		if !ok || !strings.HasSuffix(name, ".go") {
			continue
		}
		if name == "stuck.go" {
			time.Sleep(time.Hour)
		}
		text, err := t.fetch(ctx, "/"+key+"/"+name)
		if err != nil {
			return getter.Item{}, err
		}
		all = append(all, text...)
	}
	return getter.Item{Value: bytes.TrimSpace(all)}, nil
}

// fetch gets one file.
func (t tree) fetch(ctx context.Context, path string) ([]byte, error) {
	answer, err := getter.Fetch(ctx, getter.FetchRequest{URL: string(t) + path})
	if err == nil {
		err = answer.Err()
	}
	return answer.Body, err
}
