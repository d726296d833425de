package groupcache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
	"github.com/gcnode/gcnode/compat/mailgun/internal/userpb"
)

// A cluster of three processes that share users, as a program for
// mailgun/groupcache v2 has it.
func Example() {
	self, others, l := startOthers()
	defer others.stop()

	// This process is one of the peers.
	pool := groupcache.NewHTTPPoolOpts(self, &groupcache.HTTPPoolOptions{})
	pool.Set(self, others.urls[0], others.urls[1])

	// The peers ask it for what it owns.
	server := http.Server{Handler: pool, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	defer server.Shutdown(context.Background())

	// A group that takes 3 MB of memory at most.
	group := groupcache.NewGroup("users", 3_000_000, groupcache.GetterFunc(
		func(ctx context.Context, id string, dest groupcache.Sink) error {
			user, err := fetchUser(ctx, id)
			if err != nil {
				return err
			}
			// The user is kept for five minutes.
			return dest.SetProto(user, time.Now().Add(5*time.Minute))
		},
	))

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var user userpb.User
	if err := group.Get(ctx, "12345", groupcache.ProtoSink(&user)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("id:", user.GetId())
	fmt.Println("name:", user.GetName())
	fmt.Println("age:", user.GetAge())
	fmt.Println("super:", user.GetIsSuper())

	// No process has it any more.
	if err := group.Remove(ctx, "12345"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("removed from", len(pool.GetAll()), "peers")
	// Output:
	// id: 12345
	// name: Ann
	// age: 41
	// super: true
	// removed from 3 peers
}

// fetchUser is the database of all processes.
func fetchUser(_ context.Context, id string) (*userpb.User, error) {
	if id != "12345" {
		return nil, &groupcache.ErrNotFound{Msg: "there is no user " + id}
	}
	return &userpb.User{Id: id, Name: "Ann", Age: 41, IsSuper: true}, nil
}
