package transporttest_test

import (
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func TestNetworkConforms(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, h gcnode.Handler) transporttest.Endpoint {
		return endpoint(h)
	})
}

func TestWhatTheNetworkBeginsConforms(t *testing.T) {
	var begun int64
	transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
		t.Helper()
		e := endpoint(h)
		beginner, ok := e.Transport.(gcnode.Beginner)
		if !ok {
			t.Fatal("the network begins nothing")
		}
		b := &transporttest.Beginning{Beginner: beginner}
		t.Cleanup(func() { begun += b.Begun() })
		e.Transport = b
		return e
	})
	if begun < 500 {
		t.Errorf("%d requests were begun", begun)
	}
}

// endpoint is a network with h.
func endpoint(h gcnode.Handler) transporttest.Endpoint {
	n := transporttest.NewNetwork()
	n.Attach("server", h)
	n.Attach("silent", h)
	n.SetFault(transporttest.Any, "silent", transporttest.Fault{Hang: true})
	return transporttest.Endpoint{
		Transport: n.Transport("client"),
		Peer:      gcnode.Peer{ID: "server"},
		Absent:    gcnode.Peer{ID: "nobody"},
		Silent:    gcnode.Peer{ID: "silent"},
		Cut:       func() { n.Detach("server") },
	}
}
