package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// before is the program as it was on mailgun/groupcache v2, with one import path
// changed.
type before struct {
	users    *groupcache.Group
	profiles *groupcache.Group
}

func (b *before) open(self string, peers []string, mux *http.ServeMux) {
	pool := groupcache.NewHTTPPoolOpts(self, &groupcache.HTTPPoolOptions{})
	pool.Set(peers...)
	mux.Handle("/_groupcache/", pool)
	b.users = groupcache.NewGroup("users", 64<<20, groupcache.GetterFunc(
		func(ctx context.Context, id string, dest groupcache.Sink) error {
			user, err := loadUser(ctx, id)
			if errors.Is(err, errNoUser) {
				return &groupcache.ErrNotFound{Msg: err.Error()}
			}
			if err != nil {
				return err
			}
			return dest.SetString(user, time.Now().Add(5*time.Minute))
		}))
}

func (b *before) get(ctx context.Context, id string) (user string, found bool, err error) {
	err = b.users.Get(ctx, id, groupcache.StringSink(&user))
	if errors.Is(err, &groupcache.ErrNotFound{}) {
		return "", false, nil
	}
	return user, err == nil, err
}

func (b *before) openProfiles() {
	b.profiles = groupcache.NewGroup("profiles", 64<<20, groupcache.GetterFunc(
		func(ctx context.Context, id string, dest groupcache.Sink) error {
			profile, err := loadProfile(ctx, id)
			if err != nil {
				return err
			}
			return dest.SetProto(profile, time.Now().Add(5*time.Minute))
		}))
}

func (b *before) profile(ctx context.Context, id string) (*structpb.Struct, error) {
	profile := &structpb.Struct{}
	if err := b.profiles.Get(ctx, id, groupcache.ProtoSink(profile)); err != nil {
		return nil, err
	}
	return profile, nil
}

func (b *before) rename(ctx context.Context, id, user string) error {
	storeUser(id, user)
	return b.users.Set(ctx, id, []byte(user), time.Now().Add(5*time.Minute), true)
}

func (b *before) forget(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if err := b.users.Remove(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
