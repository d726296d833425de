package e2e_test

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ports that nodes get. They are below those that systems use for outgoing
// connections, so that a node that starts again finds its port free.
const (
	lowestPort  = 10240
	highestPort = 32767
)

// ports remembers those that were given away.
var ports = &portSource{taken: map[int]bool{}}

// portSource gives away ports, each once.
type portSource struct {
	mu    sync.Mutex
	taken map[int]bool
}

// address returns an address on the loopback that nobody listens on.
func (s *portSource) address(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if s.taken[port] {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		s.taken[port] = true
		require.NoError(t, l.Close())
		return address
	}
	require.FailNow(t, "there is no free port")
	return ""
}
