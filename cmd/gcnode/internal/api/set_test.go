package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// set sends a value, and looks that it is there.
func (s *site) set(t *testing.T, key, value string, headers ...string) {
	t.Helper()
	got := s.send(t, http.MethodPut, path(echoGroup, key), headers, strings.NewReader(value))
	require.Equal(t, 204, got.status, "%.40q: %s", key, got.body)
	assert.Empty(t, got.body)
	assert.Equal(t, "a", got.header.Get("Gcnode-Owner"))
}

func TestAValueThatWasSetIsThereForItsLife(t *testing.T) {
	s := newSite(t)
	s.do(t, http.MethodGet, path(echoGroup, "k"))
	for _, want := range []struct{ sent, told string }{
		{"", "max-age=31536000"}, // the group's default
		{"max-age=60", "^max-age=5[0-9]$"},
		{"MAX-AGE=060", "^max-age=5[0-9]$"},
		{"max-age=31536001", "max-age=31536000"},
		{"max-age=2147483648", "max-age=31536000"},
		{"max-age=99999999999999999999999", "max-age=31536000"},
	} {
		var headers []string
		if want.sent != "" {
			headers = []string{"Cache-Control", want.sent}
		}
		s.set(t, "k", "set "+want.sent, headers...)
		got := s.do(t, http.MethodGet, path(echoGroup, "k"))
		assert.Equal(t, "set "+want.sent, got.body)
		assert.Equal(t, "hit", got.header.Get("Gcnode-Source"))
		assert.Regexp(t, want.told, got.header.Get("Cache-Control"), want.sent)
	}
	assert.EqualValues(t, 1, s.loads.Load())
	for i, sent := range []string{"no-store", "max-age=0"} {
		s.set(t, "k", "an older value")
		s.set(t, "k", "never kept", "Cache-Control", sent)
		got := s.do(t, http.MethodGet, path(echoGroup, "k"))
		assert.Equal(t, "value of k", got.body, "%s takes older values out", sent)
		assert.EqualValues(t, i+2, s.loads.Load())
	}
}

func TestAnyBytesAreAValue(t *testing.T) {
	s := newSite(t)
	for i, value := range []string{"", "\x00", "\xff\xfe", "é\r\n", strings.Repeat("large", 20_000)} {
		for _, key := range []string{"", "a b", "/", "%2F", "\xff", "k=1&l"} {
			s.set(t, key, value, "Content-Type", "text/html")
			got := s.do(t, http.MethodGet, path(echoGroup, key))
			require.Equal(t, value, got.body, "value %d of %q", i, key)
			assert.Equal(t, "application/octet-stream", got.header.Get("Content-Type"), "the group's type")
		}
	}
	assert.Zero(t, s.loads.Load())
	// Not found is a value too, in a way.
	s.do(t, http.MethodGet, path(echoGroup, "missing"))
	s.set(t, "missing", "found")
	assert.Equal(t, "found", s.do(t, http.MethodGet, path(echoGroup, "missing")).body)
}

func TestASetThatCannotBeMeantIsRefused(t *testing.T) {
	s := newSite(t)
	s.set(t, "k", "before")
	for _, headers := range [][]string{
		{"Cache-Control", ""},
		{"Cache-Control", "no-cache"}, // what a browser adds when a page is loaded anew
		{"Cache-Control", "max-age"},
		{"Cache-Control", "max-age="},
		{"Cache-Control", "max-age=-1"},
		{"Cache-Control", "max-age=+1"},
		{"Cache-Control", "max-age=1.5"},
		{"Cache-Control", `max-age="60"`},
		{"Cache-Control", "max-age=60, no-store"},
		{"Cache-Control", "max-age=60", "Cache-Control", "max-age=61"},
		{"Content-Encoding", "gzip"},
		{"Content-Encoding", "identity", "Content-Encoding", "gzip"},
		{"If-Match", `"a"`},
		{"If-None-Match", "*"},
		{"If-Unmodified-Since", "Mon, 30 Nov 2026 00:00:00 GMT"},
		{"Content-Range", "bytes 0-3/10"},
	} {
		got := s.send(t, http.MethodPut, path(echoGroup, "k"), headers, strings.NewReader("x"))
		assert.Equal(t, 400, got.status, headers)
		assert.Equal(t, "bad_request", got.problem(t).Kind)
		assert.Contains(t, got.problem(t).Message, headers[0])
	}
	assert.Equal(t, 400, s.send(t, http.MethodPut, "/v1/groups/echo/value", nil, strings.NewReader("x")).status)
	assert.Equal(t, "no_such_group", s.send(t, http.MethodPut, path("nobody", "k"), nil, strings.NewReader("x")).problem(t).Kind)
	tooLong := s.send(t, http.MethodPut, path(echoGroup, strings.Repeat("k", gcnode.MaxKeyBytes+1)), nil, strings.NewReader("x"))
	assert.Equal(t, 413, tooLong.status)
	assert.Equal(t, "before", s.do(t, http.MethodGet, path(echoGroup, "k")).body)
	s.set(t, "k", "after", "Content-Encoding", "identity")
	assert.Equal(t, "after", s.do(t, http.MethodGet, path(echoGroup, "k")).body)
}

// endless is a body without end or announced length.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestAValueThatIsTooLargeIsRefusedAtOnce(t *testing.T) {
	s := newSite(t)
	// One that says so is not asked for its body.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path(echoGroup, "k"), gcnode.MaxValueBytes+1)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 413, resp.StatusCode)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), "the value has 67108865 bytes; at most 67108864 are allowed")

	// One that does not is read to the limit. The server stops reading then,
	// which the client may see before the answer.
	body := &endless{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+path(echoGroup, "k"), io.NopCloser(body))
	require.NoError(t, err)
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
		assert.Equal(t, 413, resp.StatusCode)
		assert.NoError(t, resp.Body.Close())
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	assert.Less(t, body.read, 2*gcnode.MaxValueBytes)

	// The largest one is taken.
	largest := bytes.Repeat([]byte{0xff}, gcnode.MaxValueBytes)
	got := s.send(t, http.MethodPut, path(echoGroup, "k"), nil, bytes.NewReader(largest))
	assert.Equal(t, 204, got.status, got.body)
	got = s.send(t, http.MethodPut, path(echoGroup, "k"), nil, io.MultiReader(bytes.NewReader(largest)))
	assert.Equal(t, 204, got.status, "without an announced length: %s", got.body)
}

func TestABodyThatBreaksOffChangesNothing(t *testing.T) {
	s := newSite(t)
	s.set(t, "k", "before")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", path(echoGroup, "k"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, err = io.Copy(io.Discard, conn) // until the node has given up
	require.NoError(t, err)
	assert.Equal(t, "before", s.do(t, http.MethodGet, path(echoGroup, "k")).body)
	group, _ := s.node.Lookup(echoGroup)
	assert.EqualValues(t, 1, group.Stats().Sets)
}
