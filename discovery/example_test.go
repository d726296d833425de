package discovery_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

// A node follows a file until the program ends.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "peers")
	if err := os.WriteFile(path, []byte("a http://10.0.0.5:7001/\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}}) // and a Transport
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := discovery.NewFile(discovery.FileOptions{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	members, err := discovery.New(node, source, discovery.Options{
		Self: "a",
		// A file that suddenly lacks most of the members may be a mistake.
		HoldBack: discovery.HoldBack{For: 5 * time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- members.Run(ctx) }()

	if err := members.Await(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(node.Peers())
	cancel()
	fmt.Println(<-done)
	// Output:
	// [{a http://10.0.0.5:7001/ 1}]
	// <nil>
}

// The pods of a Kubernetes StatefulSet, behind the headless service "cache"
// with a port that is named "peers".
func ExampleNewDNS() {
	source, err := discovery.NewDNS(discovery.DNSOptions{
		Name:    "_peers._tcp.cache.default.svc.cluster.local.",
		Records: discovery.SRV,
	})
	fmt.Println(source, err)
	// Output: dns SRV _peers._tcp.cache.default.svc.cluster.local. <nil>
}
