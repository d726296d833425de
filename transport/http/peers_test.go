package httptransport_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	httptransport "github.com/gcnode/gcnode/transport/http"
)

// TestClientMeetsManyPeersAtOnce has what is noted of one peer while another is
// being connected to, and the client is closed.
func TestClientMeetsManyPeersAtOnce(t *testing.T) {
	const peers, rounds, callers = 12, 50, 3
	var addrs []string
	for range peers {
		addrs = append(addrs, serve(t, handlerFunc(echo), httptransport.HandlerOptions{}).URL)
	}
	for range rounds {
		client := newClient(t, httptransport.ClientOptions{})
		var calls sync.WaitGroup
		for _, addr := range addrs {
			for range callers {
				calls.Go(func() {
					_, err := fetch(t.Context(), client, addr, "k")
					assert.NoError(t, err)
				})
			}
		}
		calls.Wait()
		client.Close()
	}
}
