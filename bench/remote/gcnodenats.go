package remote

import (
	"context"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// gcnodeNATS asks a node over NATS. The server of NATS and the node are in one
// process, as with [natsRequest].
func gcnodeNATS() Contestant {
	return Contestant{
		Name:  "gcnode-nats",
		serve: serveOwnerNATS,
		dial: func(ctx context.Context, addr string) (*Client, error) {
			conn, err := nats.Connect(addr)
			if err != nil {
				return nil, err
			}
			client, err := natstransport.NewClient(conn, natstransport.ClientOptions{})
			if err != nil {
				return nil, err
			}
			return asker(ctx, client, "", func() error {
				client.Close()
				conn.Close()
				return nil
			})
		},
	}
}

func serveOwnerNATS(content Content) (*server, error) {
	broker, conn, err := startNATS()
	if err != nil {
		return nil, err
	}
	client, err := natstransport.NewClient(conn, natstransport.ClientOptions{})
	if err != nil {
		return nil, err
	}
	node, err := owner(content, client)
	if err != nil {
		return nil, err
	}
	members, err := natstransport.Serve(conn, node, natstransport.ServerOptions{ID: gcnodeOwner})
	if err != nil {
		return nil, err
	}
	if err := node.SetPeers([]gcnode.Peer{{ID: gcnodeOwner}}); err != nil {
		return nil, err
	}
	return &server{addr: broker.Addr().String(), close: func() {
		members.Close()
		client.Close()
		conn.Close()
		broker.Shutdown()
	}}, nil
}
