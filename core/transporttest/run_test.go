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
		return transporttest.Endpoint{
			Transport: n.Transport("client"),
			Peer:      gcnode.Peer{ID: "server"},
			Absent:    gcnode.Peer{ID: "nobody"},
		}
	})
}
