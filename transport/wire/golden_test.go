package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// lineBytes is how many bytes are on a line of a golden file.
const lineBytes = 32

// golden compares data with the golden file, in which bytes are written as
// hexadecimal digits.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	var text strings.Builder
	for rest := data; len(rest) > 0; {
		n := min(len(rest), lineBytes)
		text.WriteString(hex.EncodeToString(rest[:n]) + "\n")
		rest = rest[n:]
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String(), "what is sent has changed: other versions may not understand it")
}

func encodeRequest(t *testing.T, req *gcnode.Request) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, wire.NewWriter(&b).WriteRequest(req))
	return b.Bytes()
}

func encodeReplies(t *testing.T, replies []gcnode.Reply, end *gcnode.Error) []byte {
	t.Helper()
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	for _, r := range replies {
		require.NoError(t, w.WriteReply(r))
	}
	require.NoError(t, w.WriteEnd(end))
	return b.Bytes()
}

// readReplies reads an answer to its end.
func readReplies(r *wire.Reader) ([]gcnode.Reply, error) {
	replies := []gcnode.Reply{}
	for {
		reply, err := r.ReadReply()
		if err != nil {
			return replies, err
		}
		replies = append(replies, reply)
	}
}

func TestGoldenRequests(t *testing.T) {
	for name, req := range sampleRequests() {
		t.Run(name, func(t *testing.T) {
			data := encodeRequest(t, req)
			golden(t, name, data)
			r := wire.NewReader(bytes.NewReader(data))
			got, err := r.ReadRequest()
			require.NoError(t, err)
			require.Equal(t, req, got)
			require.NoError(t, r.ReadEOF())
		})
	}
}

func TestGoldenAnswers(t *testing.T) {
	for name, replies := range sampleReplies() {
		t.Run(name, func(t *testing.T) {
			data := encodeReplies(t, replies, nil)
			golden(t, name, data)
			r := wire.NewReader(bytes.NewReader(data))
			got, err := readReplies(r)
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, replies, got)
			require.NoError(t, r.ReadEOF())
		})
	}
}

func TestGoldenEnds(t *testing.T) {
	cause := &gcnode.Error{Kind: gcnode.KindUnsupported, RetryAfter: time.Second, Err: errors.New("no such operation")}
	for name, refused := range map[string]bool{"answer-refused": true, "answer-failed": false} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := wire.NewWriter(&b)
			write := w.WriteEnd
			if refused {
				write = w.WriteRefusal
			}
			require.NoError(t, write(cause))
			golden(t, name, b.Bytes())
			_, err := wire.NewReader(&b).ReadReply()
			require.Equal(t, &wire.EndError{Refused: refused, Cause: cause}, err)
			require.ErrorIs(t, err, gcnode.ErrUnsupported)
			require.ErrorContains(t, err, "no such operation")
		})
	}
}
