// Nats runs three members of a cluster in one process, which talk over the NATS
// server that NATS_URL names, or one on this machine. In a real cluster each is a
// process of its own, on another machine.
package main

import (
	"cmp"
	"context"
	"os"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// transport is how a member and the others reach each other.
type transport struct {
	self   gcnode.Peer
	client *natstransport.Client
	conn   *nats.Conn
	server *natstransport.Server
}

// newTransport gives a member a connection of its own. It is found by its ID:
// with natstransport.Announce the members need no list of each other.
func newTransport(_ context.Context, id string) (*transport, error) {
	conn, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	client, err := natstransport.NewClient(conn, natstransport.ClientOptions{})
	if err != nil {
		return nil, err
	}
	return &transport{self: gcnode.Peer{ID: id}, client: client, conn: conn}, nil
}

// serve lets others ask the member.
func (t *transport) serve(node *gcnode.Node) (err error) {
	t.server, err = natstransport.Serve(t.conn, node, natstransport.ServerOptions{ID: t.self.ID})
	return err
}

// stop answers what others have asked.
func (t *transport) stop(ctx context.Context) error {
	err := t.server.Shutdown(ctx)
	t.client.Close()
	t.conn.Close()
	return err
}
