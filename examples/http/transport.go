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

// transport is how a member and the others reach each other.
type transport struct {
	self     gcnode.Peer
	client   *httptransport.Client
	listener net.Listener
	handler  *httptransport.Handler
	server   *http.Server
}

// newTransport gives a member a port of its own.
func newTransport(ctx context.Context, id string) (*transport, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	client, err := httptransport.NewClient(httptransport.ClientOptions{})
	if err != nil {
		return nil, err
	}
	self := gcnode.Peer{ID: id, Addr: "http://" + listener.Addr().String() + "/cache"}
	return &transport{self: self, client: client, listener: listener}, nil
}

// serve lets others ask the member.
func (t *transport) serve(node *gcnode.Node) (err error) {
	t.handler, err = httptransport.NewHandler(node, httptransport.HandlerOptions{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/cache", t.handler)
	t.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := t.server.Serve(t.listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "server:", err)
		}
	}()
	return nil
}

// stop answers what others have asked. A server waits up to five seconds for
// connections that were made and not used, and knows nothing of streams, which
// the handler ends.
func (t *transport) stop(ctx context.Context) error {
	err := errors.Join(t.server.Shutdown(ctx), t.handler.Shutdown(ctx))
	t.client.Close()
	return err
}
