package e2e_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exchange sends bytes to an address, closes its side and returns what comes
// back until the other side closes too. A reset ends it as well: it follows an
// answer that came before everything was read.
func exchange(t *testing.T, address, bytes string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, bytes) // the other side may have heard enough
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	<-sent
	if err != nil {
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "nobody closes the connection")
	}
	return string(got)
}

// rubbish is random bytes, the same in every run. Each ends a line, so that
// whoever reads lines does not wait for more.
func rubbish() []string {
	random := rand.New(rand.NewPCG(1, 2))
	var list []string
	for _, size := range []int{1, 16, 100, 4 << 10} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		list = append(list, string(b)+"\r\n\r\n")
	}
	return list
}
