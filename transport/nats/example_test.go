package natstransport_test

import (
	"context"
	"log"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// A member of the cluster "shop", from its start to its end. Who the others are
// comes from what they announce; package discovery has more to say about what
// becomes of such lists.
func Example() { //nolint:testableexamples // it needs a NATS server
	ctx := context.Background()
	nc, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()

	client, err := natstransport.NewClient(nc, natstransport.ClientOptions{Cluster: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "n1"}, Transport: client})
	if err != nil {
		log.Fatal(err)
	}
	server, err := natstransport.Serve(nc, node, natstransport.ServerOptions{Cluster: "shop", ID: "n1"})
	if err != nil {
		log.Fatal(err)
	}
	self, err := natstransport.Announce(nc, gcnode.Peer{ID: "n1", Addr: server.Addr()}, natstransport.MembershipOptions{Cluster: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	watching, stop := context.WithCancel(ctx)
	go self.Watch(watching, func(peers []gcnode.Peer, err error) {
		if err == nil {
			err = node.SetPeers(peers)
		}
		if err != nil {
			log.Print(err)
		}
	})

	// Groups, and whatever else the program does.

	stop()
	if err := node.Close(ctx); err != nil { // hands over to the others, who still reach it
		log.Print(err)
	}
	self.Close()
	if err := server.Shutdown(ctx); err != nil {
		log.Print(err)
	}
}
