package httptransport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// stopping is a writer that takes a few bytes at a time, and has a deadline each
// time; after so many it takes all.
type stopping struct {
	bytes.Buffer

	random *rand.Rand
	stops  int
}

func (s *stopping) Write(b []byte) (int, error) {
	if s.stops--; s.stops < 0 {
		return s.Buffer.Write(b)
	}
	n, _ := s.Buffer.Write(b[:s.random.IntN(len(b))])
	return n, os.ErrDeadlineExceeded
}

// TestWritingGoesOnAfterADeadline stops anywhere in a record.
func TestWritingGoesOnAfterADeadline(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := &stopping{random: random, stops: random.IntN(20)}
		s := newSealer(w, []byte("key"))
		var want, pending []byte
		for range 20 {
			more := bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN(3*recordBytes)/(1+random.IntN(500)))
			want, pending = append(want, more...), append(pending, more...)
			n, err := s.Write(pending)
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			pending = pending[n:]
		}
		w.stops = 0
		_, err := s.Write(pending)
		require.NoError(t, err)
		got, err := io.ReadAll(newOpener(iotest.OneByteReader(&w.Buffer), []byte("key"), plainAhead))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "seed %d", seed)
	}
}

// TestReadingGoesOnAfterADeadline has a reader that fails after each byte.
func TestReadingGoesOnAfterADeadline(t *testing.T) {
	var sealed bytes.Buffer
	_, err := newSealer(&sealed, []byte("key")).Write([]byte("hello"))
	require.NoError(t, err)
	o := newOpener(iotest.OneByteReader(iotest.TimeoutReader(&sealed)), []byte("key"), plainAhead)
	_, err = o.Read(make([]byte, 10))
	require.ErrorIs(t, err, iotest.ErrTimeout)
	require.True(t, o.begun())
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.False(t, o.begun())
}

// TestRecordsAllocateNothing writes and reads small ones.
func TestRecordsAllocateNothing(t *testing.T) {
	var carried bytes.Buffer
	s, o := newSealer(&carried, []byte("key")), newOpener(&carried, []byte("key"), plainAhead)
	message, got := []byte(strings.Repeat("x", 128)), make([]byte, 128)
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := s.Write(message)
		if err == nil {
			_, err = io.ReadFull(o, got)
		}
		if err != nil || string(got) != string(message) {
			t.Fatal(err)
		}
	})
	require.Zero(t, allocs)
}

// FuzzRecords reads anything: what comes out is the beginning of what was sealed.
func FuzzRecords(f *testing.F) {
	var sealed bytes.Buffer
	s := newSealer(&sealed, []byte("key"))
	const text = "one and two"
	for _, part := range []string{"one", " and", " two"} {
		if _, err := s.Write([]byte(part)); err != nil {
			f.Fatal(err)
		}
	}
	whole := sealed.Bytes()
	f.Add(whole)
	f.Add(whole[:50])
	f.Add(append(bytes.Clone(whole[37:]), whole[:37]...))
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := io.ReadAll(newOpener(bytes.NewReader(b), []byte("key"), plainAhead))
		if !strings.HasPrefix(text, string(got)) {
			t.Fatalf("got %q", got)
		}
		if err == nil && !bytes.HasPrefix(whole, b) {
			t.Fatal("no error for what was not sealed")
		}
		if err != nil && !errors.Is(err, errForged) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
}

// FuzzSignature reads header fields of requests and answers.
func FuzzSignature(f *testing.F) {
	s := signature{key: "k", time: "1", nonce: "n", node: "a", digest: "d", mac: "m"}
	f.Add(s.String())
	f.Add(signatureScheme + ` key="k"`)
	f.Add(signatureScheme + ` key="k",key="k",,=,"`)
	f.Add(`nonce="a", mac="b"`)
	f.Fuzz(func(t *testing.T, header string) {
		s, ok := parseSignature(header)
		if ok {
			again, ok := parseSignature(s.String())
			if !ok || again != s {
				t.Fatalf("%+v becomes %+v", s, again)
			}
		}
		var nonce, mac string
		parameters(header, map[string]*string{"nonce": &nonce, "mac": &mac})
	})
}
