package wasm

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encodeFetch is the message of a guest that asks for req.
func encodeFetch(req *fetchRequest) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, uint16(len(req.method)))
	b = le.AppendUint16(b, uint16(len(req.header)))
	b = le.AppendUint32(b, uint32(len(req.url)))
	b = le.AppendUint32(b, uint32(len(req.body)))
	b = le.AppendUint32(b, req.timeoutMillis)
	b = le.AppendUint32(b, req.maxBodyBytes)
	b = append(b, req.method+req.url...)
	for _, f := range req.header {
		b = le.AppendUint16(b, uint16(len(f.name)))
		b = le.AppendUint32(b, uint32(len(f.value)))
		b = append(b, f.name+f.value...)
	}
	return append(b, req.body...)
}

func TestFetchMessage(t *testing.T) {
	t.Parallel()
	const golden = "\x03\x00\x02\x00" + "\x08\x00\x00\x00" + "\x02\x00\x00\x00" + "\x0a\x00\x00\x00" + "\x00\x01\x00\x00" +
		"PUT" + "http://h" + "\x01\x00\x02\x00\x00\x00Avv" + "\x02\x00\x00\x00\x00\x00Bb" + "hi"
	req, err := parseFetchRequest([]byte(golden))
	require.NoError(t, err)
	assert.Equal(t, &fetchRequest{
		method: "PUT", url: "http://h", body: []byte("hi"), timeoutMillis: 10, maxBodyBytes: 256,
		header: []headerField{{"A", "vv"}, {"Bb", ""}},
	}, req)
	assert.Equal(t, golden, string(encodeFetch(req)))
	for n := range len(golden) {
		_, err := parseFetchRequest([]byte(golden[:n]))
		require.ErrorIs(t, err, errFetchMessage, "%d bytes", n)
	}
	_, err = parseFetchRequest([]byte(golden + "x"))
	require.ErrorIs(t, err, errFetchMessage, "more than its parts")
	for at := range 12 { // every length, absurdly large
		msg := []byte(golden)
		msg[at] = 0xff
		_, err := parseFetchRequest(msg)
		require.ErrorIs(t, err, errFetchMessage, "byte %d", at)
	}
}

func TestFetchMessageIsCopied(t *testing.T) {
	t.Parallel()
	msg := encodeFetch(&fetchRequest{method: "PUT", url: "http://h", body: []byte("body"), header: []headerField{{"A", "v"}}})
	req, err := parseFetchRequest(msg)
	require.NoError(t, err)
	clear(msg)
	assert.Equal(t, &fetchRequest{method: "PUT", url: "http://h", body: []byte("body"), header: []headerField{{"A", "v"}}}, req)
}

func TestFetchAnswer(t *testing.T) {
	t.Parallel()
	a := fetchAnswer{status: 404, header: []headerField{{"A", "v"}}, body: []byte("gone")}
	assert.Equal(t, "\x94\x01\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00"+"\x01\x00\x01\x00\x00\x00Av"+"gone", string(a.encode()))
	assert.Equal(t, a, readAnswer(t, string(a.encode())))

	many := fetchAnswer{header: make([]headerField, 70_000), failure: fetchTimeout, body: []byte(strings.Repeat("b", 10))}
	got := readAnswer(t, string(many.encode()))
	assert.Len(t, got.header, 65535)
	assert.Equal(t, many.body, got.body)
}

func TestLongURLsAndHeadersAreRefused(t *testing.T) {
	t.Parallel()
	long := fetchRequest{method: "GET", url: "http://host/" + strings.Repeat("a", maxFetchURLBytes)}
	_, err := long.build(t.Context())
	require.ErrorContains(t, err, "the limit is 65536")
	large := fetchRequest{method: "GET", url: "http://host/", header: []headerField{{"A", strings.Repeat("v", maxFetchHeadBytes)}}}
	_, err = large.build(t.Context())
	require.ErrorContains(t, err, "the limit is 262144")
}
