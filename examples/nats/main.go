package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const members = 3

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// member is one node with its transport and group.
type member struct {
	node      *gcnode.Node
	transport *transport
	users     *gcnode.Group
}

func run(ctx context.Context) error {
	var cluster []*member
	var peers []gcnode.Peer
	for i := range members {
		m, err := start(ctx, fmt.Sprintf("n%d", i+1))
		if err != nil {
			return err
		}
		defer m.stop(ctx)
		cluster = append(cluster, m)
		peers = append(peers, m.node.Self())
	}
	for _, m := range cluster {
		if err := m.node.SetPeers(peers); err != nil {
			return err
		}
	}
	// Before it has joined a member keeps nothing, and may load what is not its own.
	for _, m := range cluster {
		if err := m.node.Joined(ctx); err != nil {
			return err
		}
	}
	// Whoever is asked, the owner of the key loads it, once.
	for _, m := range cluster {
		user, err := m.users.Get(ctx, "ann")
		if err != nil {
			return err
		}
		fmt.Println("got", user)
	}
	// After Remove has returned nil, nobody serves what was removed.
	if err := cluster[0].users.Remove(ctx, "ann"); err != nil {
		return err
	}
	user, err := cluster[2].users.Get(ctx, "ann")
	if err != nil {
		return err
	}
	fmt.Println("got", user, "again")
	_, err = cluster[1].users.Get(ctx, "nobody")
	fmt.Println("nobody is not found:", errors.Is(err, gcnode.ErrNotFound))
	return nil
}

// start makes a member and serves it to the others.
func start(ctx context.Context, id string) (*member, error) {
	t, err := newTransport(ctx, id)
	if err != nil {
		return nil, err
	}
	node, err := gcnode.NewNode(gcnode.Config{Self: t.self, Transport: t.client})
	if err != nil {
		return nil, err
	}
	users, err := node.Group("users", gcnode.GetterFunc[gcnode.Value](loadUser), gcnode.GroupOptions{
		MaxBytes: 64 << 20,
		TTL:      gcnode.For(5 * time.Minute),
	})
	if err != nil {
		return nil, err
	}
	if err := t.serve(node); err != nil {
		return nil, err
	}
	return &member{node: node, transport: t, users: users}, nil
}

// stop answers what is running, and then goes.
func (m *member) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := errors.Join(m.node.Close(ctx), m.transport.stop(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "stop:", err)
	}
}

// loadUser stands for a look-up in a database.
func loadUser(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	fmt.Println("loading", key)
	if key == "nobody" {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("no user %q: %w", key, gcnode.ErrNotFound)
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key + "@example.com")}, nil
}
