// Migrating is one program twice: on the API of mailgun/groupcache v2, and on the
// one of this project. docs/migrating.md shows its functions side by side.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"google.golang.org/protobuf/types/known/structpb"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// users is what both need.
type users interface {
	get(ctx context.Context, id string) (user string, found bool, err error)
	profile(ctx context.Context, id string) (*structpb.Struct, error)
	rename(ctx context.Context, id, user string) error
	forget(ctx context.Context, ids ...string) error
}

func run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	server := http.Server{Handler: mux} //nolint:gosec // peers alone reach it
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	self := "http://" + listener.Addr().String()

	old := &before{}
	old.open(self, []string{self}, mux)
	old.openProfiles()
	own := &after{}
	if err := own.open(self, []string{self}, mux); err != nil {
		return err
	}
	if err := own.openProfiles(); err != nil {
		return err
	}
	defer func() { _ = own.node.Close(ctx) }()
	for _, u := range []users{old, own} {
		if err := use(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// use does with the users what programs do with them.
func use(ctx context.Context, u users) error {
	storeUser("ann", "Ann")
	user, _, err := u.get(ctx, "ann")
	if err != nil {
		return err
	}
	if err := u.rename(ctx, "ann", "Anna"); err != nil {
		return err
	}
	renamed, _, err := u.get(ctx, "ann")
	if err != nil {
		return err
	}
	storeUser("ann", "Annie")
	if err := u.forget(ctx, "ann", "bob"); err != nil {
		return err
	}
	again, _, err := u.get(ctx, "ann")
	if err != nil {
		return err
	}
	_, found, err := u.get(ctx, "nobody")
	if err != nil {
		return err
	}
	profile, err := u.profile(ctx, "ann")
	if err != nil {
		return err
	}
	fmt.Println(user, renamed, again, found, profile.GetFields()["id"].GetStringValue())
	return nil
}

// The database.
var (
	errNoUser = errors.New("there is no such user")
	database  sync.Map //nolint:gochecknoglobals // it stands for one that is elsewhere
)

func storeUser(id, user string) { database.Store(id, user) }

func loadUser(_ context.Context, id string) (string, error) {
	value, _ := database.Load(id)
	user, ok := value.(string)
	if !ok {
		return "", errNoUser
	}
	return user, nil
}

func loadProfile(_ context.Context, id string) (*structpb.Struct, error) {
	return structpb.NewStruct(map[string]any{"id": id})
}
