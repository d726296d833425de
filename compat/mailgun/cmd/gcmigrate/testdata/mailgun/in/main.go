// Command service has users.
package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/mailgun/groupcache/v2"
)

func main() {
	pool := groupcache.NewHTTPPoolOpts("http://127.0.0.1:8080", &groupcache.HTTPPoolOptions{
		Replicas: 100, // more than usual
	})
	pool.Set("http://127.0.0.1:8080")
	go func() { _ = http.ListenAndServe("127.0.0.1:8080", pool) }()

	users := groupcache.NewGroup("users", 3000000, groupcache.GetterFunc(
		func(_ context.Context, id string, dest groupcache.Sink) error {
			return dest.SetString("user "+id, time.Now().Add(5*time.Minute))
		},
	))
	var user string
	if err := users.Get(context.Background(), "12345", groupcache.StringSink(&user)); err != nil {
		fmt.Println(err)
	}
	_ = users.Remove(context.Background(), "12345")
	n, owner := uses()
	fmt.Println(user, n, owner)
}
