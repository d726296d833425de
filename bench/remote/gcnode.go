package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// gcnodeStream asks over a stream.
func gcnodeStream() Contestant {
	return gcnodeHTTP("gcnode-stream", httptransport.ClientOptions{}, httptransport.HandlerOptions{})
}

// gcnodePlain asks with POSTs, which fetches share.
func gcnodePlain() Contestant {
	return gcnodeHTTP("gcnode-plain", httptransport.ClientOptions{Plain: true}, httptransport.HandlerOptions{})
}

// gcnodeSigned asks over a stream on which all is signed.
func gcnodeSigned() Contestant {
	shared := httptransport.Secret{ID: "bench", Secret: strings.Repeat("s", httptransport.MinSecretBytes)}
	secrets, _ := httptransport.NewSecrets(shared) // without them nothing could be sent
	return gcnodeHTTP("gcnode-signed", httptransport.ClientOptions{Secrets: secrets},
		httptransport.HandlerOptions{Secrets: secrets, Self: gcnodeOwner})
}

// gcnodeHTTP is a node that has everything in its store, and one that asks it
// through [gcnode.Group.Get]. That one is on no list of members, so that it
// owns nothing and keeps no copies.
func gcnodeHTTP(name string, client httptransport.ClientOptions, handler httptransport.HandlerOptions) Contestant {
	return Contestant{
		Name:  name,
		serve: func(content Content) (*server, error) { return serveOwner(content, client, handler) },
		dial:  func(ctx context.Context, addr string) (*Client, error) { return dialOwner(ctx, addr, client) },
	}
}

const (
	gcnodeOwner = "owner"
	groupName   = "bench"
)

func serveOwner(content Content, clientOptions httptransport.ClientOptions, handlerOptions httptransport.HandlerOptions) (*server, error) {
	client, err := httptransport.NewClient(clientOptions)
	if err != nil {
		return nil, err
	}
	node, err := owner(content, client)
	if err != nil {
		return nil, err
	}
	door, err := httptransport.NewHandler(node, handlerOptions)
	if err != nil {
		return nil, err
	}
	s, err := serveHTTP(door)
	if err != nil {
		return nil, err
	}
	if err := node.SetPeers([]gcnode.Peer{{ID: gcnodeOwner, Addr: "http://" + s.addr}}); err != nil {
		return nil, err
	}
	stop := s.close
	s.close = func() {
		stop()
		door.Close()
		client.Close()
	}
	return s, nil
}

// owner is a node that has all of the content in its store.
func owner(content Content, transport gcnode.Transport) (*gcnode.Node, error) {
	values := content.values()
	var filled atomic.Bool
	getter := func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		value, ok := values[key]
		if !ok {
			return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
		}
		if filled.Load() {
			return gcnode.Item[gcnode.Value]{}, errors.New("the value is not in the store any more")
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(value)}, nil
	}
	node, group, err := newNode(gcnodeOwner, transport, getter, capacity(content))
	if err != nil {
		return nil, err
	}
	for _, want := range content.wants() {
		if _, err := group.Get(context.Background(), want.Key); err != nil {
			return nil, err
		}
	}
	filled.Store(true)
	return node, nil
}

func dialOwner(ctx context.Context, addr string, options httptransport.ClientOptions) (*Client, error) {
	client, err := httptransport.NewClient(options)
	if err != nil {
		return nil, err
	}
	return asker(ctx, client, "http://"+addr, func() error {
		carried := checkCarrier(client.Stats(), options)
		client.Close()
		return carried
	})
}

// asker is a node that asks the owner. closed is called when it is not needed any
// more.
func asker(ctx context.Context, transport gcnode.Transport, addr string, closed func() error) (*Client, error) {
	getter := func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{}, errors.New("the peer did not answer")
	}
	node, group, err := newNode("asker", transport, getter, 1<<20)
	if err != nil {
		return nil, err
	}
	if err := node.SetPeers([]gcnode.Peer{{ID: gcnodeOwner, Addr: addr}}); err != nil {
		return nil, err
	}
	if err := joined(ctx, node); err != nil {
		return nil, err
	}
	return &Client{
		Get: func(ctx context.Context, want Want) error {
			value, err := group.Get(ctx, want.Key)
			if err != nil {
				return err
			}
			return check(want, value.String())
		},
		Close: func() error { return errors.Join(closed(), checkFetched(node.Stats())) },
	}, nil
}

func newNode(id string, transport gcnode.Transport, getter gcnode.GetterFunc[gcnode.Value], maxBytes int64) (*gcnode.Node, *gcnode.Group, error) {
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: transport})
	if err != nil {
		return nil, nil, err
	}
	group, err := node.Group(groupName, getter, gcnode.GroupOptions{MaxBytes: maxBytes})
	return node, group, err
}

// capacity is a limit with room for all of the content, whatever else counts.
func capacity(content Content) int64 { return 4*content.bytes() + 64<<20 }

// joined waits until the node has joined the others.
func joined(ctx context.Context, node *gcnode.Node) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !node.Stats().Joined {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// checkCarrier fails if requests went over the other carrier.
func checkCarrier(stats httptransport.ClientStats, options httptransport.ClientOptions) error {
	for _, p := range stats.Peers {
		if options.Plain && p.Streams > 0 || !options.Plain && p.Posts+p.Bundles > 0 {
			return fmt.Errorf("%d streams and %d plain requests (%s)", p.Streams, p.Posts, p.Problem)
		}
	}
	return nil
}

// checkFetched fails if a look-up was answered from memory.
func checkFetched(stats gcnode.NodeStats) error {
	for _, g := range stats.Groups {
		if hits := g.Hits + g.HotHits; hits > 0 {
			return fmt.Errorf("%d of %d look-ups were answered from memory", hits, g.Gets)
		}
	}
	return nil
}
