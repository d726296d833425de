package transporttest_test

import (
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func TestNetworkConforms(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, h gcnode.Handler) transporttest.Endpoint {
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
	})
}
