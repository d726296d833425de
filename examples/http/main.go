// Http runs three members of a cluster in one process, which talk over HTTP on
// the loopback interface. In a real cluster each is a process of its own, on
// another machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

const members = 3

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "http example:", err)
		os.Exit(1)
	}
}

// member is one node with its server and group.
type member struct {
	node    *gcnode.Node
	client  *httptransport.Client
	handler *httptransport.Handler
	server  *http.Server
	users   *gcnode.Group
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

// start makes a member and serves it to the others on a port of its own.
func start(ctx context.Context, id string) (*member, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	client, err := httptransport.NewClient(httptransport.ClientOptions{})
	if err != nil {
		return nil, err
	}
	node, err := gcnode.NewNode(gcnode.Config{
		Self:      gcnode.Peer{ID: id, Addr: "http://" + listener.Addr().String() + "/cache"},
		Transport: client,
	})
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
	handler, err := httptransport.NewHandler(node, httptransport.HandlerOptions{})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/cache", handler)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "server:", err)
		}
	}()
	return &member{node: node, client: client, handler: handler, server: server, users: users}, nil
}

// stop answers what is running, and then goes. A server waits up to five seconds
// for connections that were made and not used.
func (m *member) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// The server knows nothing of the streams of peers, which the handler ends.
	if err := errors.Join(m.node.Close(ctx), m.server.Shutdown(ctx), m.handler.Shutdown(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "stop:", err)
	}
	m.client.Close()
}

// loadUser stands for a look-up in a database.
func loadUser(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	fmt.Println("loading", key)
	if key == "nobody" {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("no user %q: %w", key, gcnode.ErrNotFound)
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key + "@example.com")}, nil
}
