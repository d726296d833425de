package test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// slowEnd is an exchange whose end takes until it is let: so long its client
// hears nothing else of what happens to the connection.
type slowEnd struct {
	*transporttest.Queue

	ending, open chan struct{}
}

// End implements [gcnode.Exchange].
func (x slowEnd) End(err error) {
	close(x.ending)
	<-x.open
	x.Queue.End(err)
}

// TestTheNewsOfAnInterruptionIsNotAboutWhatHasBegunSince interrupts a connection
// a second time while the client is busy with the first. What is begun after that
// goes on when the client hears of it.
func TestTheNewsOfAnInterruptionIsNotAboutWhatHasBegunSince(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	member := newGate()
	serve(t, connect(t, url), member, natstransport.ServerOptions{})
	nc := connect(t, url)
	client := newClient(t, nc, natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	lost := slowEnd{transporttest.NewQueue(), make(chan struct{}), make(chan struct{})}
	req := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"slow"}}
	_, ok := client.Begin(t.Context(), gcnode.Peer{ID: "server"}, req, lost)
	require.True(t, ok)
	<-member.begun
	interrupt(t, nc, 1)
	<-lost.ending
	interrupt(t, nc, 2)

	_, err = fetch(t.Context(), client, "k")
	require.NoError(t, err)
	x, _ := begin(t, client, "slow")
	<-member.begun
	close(lost.open)
	_, err = lost.Wait(t)
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	for range 50 { // in which it hears of the second one
		_, err = fetch(t.Context(), client, "k")
		require.NoError(t, err)
	}
	close(member.open)
	replies, err := x.Wait(t)
	require.NoError(t, err)
	require.Len(t, replies, 1)
}

// interrupt breaks a connection for the nth time, and returns when it is back.
func interrupt(t *testing.T, nc *nats.Conn, n uint64) {
	t.Helper()
	require.NoError(t, nc.ForceReconnect())
	eventually(t, func() bool { return nc.Stats().Reconnects == n && nc.IsConnected() }, "the connection is back")
}
