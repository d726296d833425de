package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	protocodec "github.com/gcnode/gcnode/codec/proto"
	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// after is the same program on this project's own API.
type after struct {
	node     *gcnode.Node
	users    *gcnode.Group
	profiles *gcnode.Typed[*structpb.Struct]
}

func (a *after) open(self string, peers []string, mux *http.ServeMux) error {
	client, err := httptransport.NewClient(httptransport.ClientOptions{})
	if err != nil {
		return err
	}
	a.node, err = gcnode.NewNode(gcnode.Config{Self: member(self), Transport: client})
	if err != nil {
		return err
	}
	handler, err := httptransport.NewHandler(a.node, httptransport.HandlerOptions{})
	if err != nil {
		return err
	}
	mux.Handle("/gcnode", handler)
	a.users, err = a.node.Group("users", gcnode.GetterFunc[gcnode.Value](
		func(ctx context.Context, id string) (gcnode.Item[gcnode.Value], error) {
			user, err := loadUser(ctx, id)
			if errors.Is(err, errNoUser) {
				err = fmt.Errorf("%w: %w", gcnode.ErrNotFound, err)
			}
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(user)}, err
		}), gcnode.GroupOptions{MaxBytes: 64 << 20, TTL: gcnode.For(5 * time.Minute)})
	if err != nil {
		return err
	}
	var members []gcnode.Peer
	for _, url := range peers {
		members = append(members, member(url))
	}
	return a.node.SetPeers(members)
}

func member(url string) gcnode.Peer { return gcnode.Peer{ID: url, Addr: url + "/gcnode"} }

func (a *after) get(ctx context.Context, id string) (user string, found bool, err error) {
	v, err := a.users.Get(ctx, id)
	if errors.Is(err, gcnode.ErrNotFound) {
		return "", false, nil
	}
	return v.String(), err == nil, err
}

func (a *after) openProfiles() (err error) {
	a.profiles, err = gcnode.Of(a.node, "profiles", protocodec.New[structpb.Struct](), gcnode.GetterFunc[*structpb.Struct](
		func(ctx context.Context, id string) (gcnode.Item[*structpb.Struct], error) {
			profile, err := loadProfile(ctx, id)
			return gcnode.Item[*structpb.Struct]{Value: profile}, err
		}), gcnode.GroupOptions{MaxBytes: 64 << 20, TTL: gcnode.For(5 * time.Minute)})
	return err
}

func (a *after) profile(ctx context.Context, id string) (*structpb.Struct, error) {
	return a.profiles.Get(ctx, id)
}

func (a *after) rename(ctx context.Context, id, user string) error {
	storeUser(id, user)
	return a.users.Set(ctx, id, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(user)})
}

func (a *after) forget(ctx context.Context, ids ...string) error {
	return a.users.Remove(ctx, ids...)
}
