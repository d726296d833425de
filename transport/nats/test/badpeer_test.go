package test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	natstransport "github.com/gcnode/gcnode/transport/nats"
	"github.com/gcnode/gcnode/transport/wire"
)

// stranger is a bare connection that speaks to a server by the protocol, or
// nearly so.
type stranger struct {
	t    *testing.T
	nc   *nats.Conn
	sub  *nats.Subscription
	back string
	to   string
}

// newStranger opens a stream to the member "server".
func newStranger(t *testing.T, url string) *stranger {
	t.Helper()
	s := &stranger{t: t, nc: connect(t, url), back: "gcnode.default.back.stranger.1"}
	var err error
	s.sub, err = s.nc.SubscribeSync(s.back)
	require.NoError(t, err)
	s.to = "gcnode.default.node.server"
	s.send(wire.Packet{Number: 1})
	p := s.next()
	require.EqualValues(t, 1, p.Number)
	require.NotEmpty(t, p.At)
	s.to = "gcnode.default.at." + p.At
	return s
}

func (s *stranger) send(p wire.Packet) {
	s.t.Helper()
	require.NoError(s.t, s.nc.PublishRequest(s.to, s.back, wire.AppendPacket(nil, &p)))
}

func (s *stranger) next() wire.Packet {
	s.t.Helper()
	m, err := s.sub.NextMsg(patience)
	require.NoError(s.t, err)
	p, err := wire.DecodePacket(m.Data)
	require.NoError(s.t, err)
	return p
}

// untilClose is why the member ends the stream.
func (s *stranger) untilClose() error {
	s.t.Helper()
	for {
		if p := s.next(); p.Close != nil {
			return p.Close
		}
	}
}

// call is a fetch as data of a packet.
func call(t *testing.T, exchange uint64) []byte {
	t.Helper()
	request, err := wire.AppendRequest(nil, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	require.NoError(t, err)
	return wire.AppendCallRequest(nil, exchange, request)
}

// TestBadClients sends what ends the stream, and nothing else.
func TestBadClients(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	server := serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	tests := map[string]struct {
		packets []wire.Packet
		want    string
	}{
		"a packet is missing": {[]wire.Packet{{Number: 3, Data: call(t, 1)}}, "lost"},
		"a packet twice":      {[]wire.Packet{{Number: 2}, {Number: 2}}, "lost"},
		"took what was not sent": {
			[]wire.Packet{{Number: 2, Taken: 1}}, "were taken of 0",
		},
		"no message":      {[]wire.Packet{{Number: 2, Data: []byte("\xff\xff\xff\xff\xff\xff")}}, "message"},
		"no call":         {[]wire.Packet{{Number: 2, Data: []byte("\x01\xff")}}, "malformed"},
		"an old exchange": {[]wire.Packet{{Number: 2, Data: call(t, 2)}, {Number: 3, Data: call(t, 1)}}, "exchange 1 after 2"},
		"like no other":   {[]wire.Packet{{Number: 2, Data: wire.AppendCallKey(nil, 1, "k")}}, "which there is not"},
		"like a set": {
			[]wire.Packet{{Number: 2, Data: call(t, 1)}, {Number: 3, Data: set(t, 2)}, {Number: 4, Data: wire.AppendCallKey(nil, 3, "k")}},
			"which there is not",
		},
		"more than asked for": {[]wire.Packet{{Number: 2, Data: wire.AppendCallRequest(nil, 1, largeStart(t))}, {Number: 3, Data: tooLong()}}, "has more"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, url)
			for _, p := range test.packets {
				s.send(p)
			}
			require.ErrorContains(t, s.untilClose(), test.want)
			s.send(wire.Packet{Number: 9, Ping: true})
			require.ErrorContains(t, s.next().Close, "knows nothing of the stream")
		})
	}
	require.NoError(t, client.RoundTrip(t.Context(), gcnode.Peer{ID: "server"}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, &collect{}))
	eventually(t, func() bool { return server.Stats().Streams == 1 && server.Stats().Running == 0 }, "nothing is left of the strangers")
}

// set is a request with a small value as data of a packet.
func set(t *testing.T, exchange uint64) []byte {
	t.Helper()
	request, err := wire.AppendRequest(nil, &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue("v")})
	require.NoError(t, err)
	return wire.AppendCallRequest(nil, exchange, request)
}

// largeStart is a request with the first piece of a value.
func largeStart(t *testing.T) []byte {
	t.Helper()
	value := gcnode.StringValue(strings.Repeat("v", wire.PieceBytes+1))
	request, rest, err := wire.AppendRequestStart(nil, &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: value})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	return request
}

// tooLong is a piece of two bytes.
func tooLong() []byte {
	b, _ := wire.AppendCallPiece(nil, 1, "xx")
	return b
}

// TestValueThatDoesNotCome begins a request and sends no more of it.
func TestValueThatDoesNotCome(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	server := serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{BodyTimeout: time.Millisecond})
	s := newStranger(t, url)
	s.send(wire.Packet{Number: 2, Data: wire.AppendCallRequest(nil, 1, largeStart(t))})
	require.ErrorContains(t, s.untilClose(), "does not come")
	eventually(t, func() bool { return server.Stats().Running == 0 }, "its place is free")
}

// TestWhoTakesNothing asks for much and takes no answer: the member looks at
// nothing more that it asks, and gives it up after a while.
func TestWhoTakesNothing(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	value := gcnode.StringValue(strings.Repeat("v", 64<<10))
	server := serve(t, connect(t, url), handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Value: value})
	}), natstransport.ServerOptions{WriteTimeout: 2 * time.Second})
	s := newStranger(t, url)
	const asked = 40
	number := uint64(1)
	ask := func() {
		number++
		s.send(wire.Packet{Number: number, Data: call(t, number)})
	}
	for range asked {
		ask()
	}
	got := 0
	for got < wire.StreamWindow {
		got += len(s.next().Data)
	}
	require.Equal(t, wire.StreamWindow, got)
	eventually(t, func() bool { return server.Stats().Running > 0 }, "answers wait for the client")
	for range asked {
		ask()
	}
	s.send(wire.Packet{Number: number + 1, Ping: true})
	p := s.next()
	require.Nil(t, p.Close)
	require.Empty(t, p.Data, "no more comes than the window allows")
	require.Less(t, server.Stats().Requests, uint64(2*asked), "not all was looked at")
	require.ErrorContains(t, s.untilClose(), "does not take")
	eventually(t, func() bool { return server.Stats().Running == 0 }, "its places are free")
}

// TestAnswersWithoutCreditAreGivenUp has a peer that takes what comes, and gives no
// credit for more of its answer: the request ends, and leaves its place to others.
func TestAnswersWithoutCreditAreGivenUp(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	failed := make(chan error, 1)
	server := serve(t, connect(t, url), handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		err := w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", 4<<20))})
		failed <- err
		return err
	}), natstransport.ServerOptions{WriteTimeout: 100 * time.Millisecond})
	s := newStranger(t, url)
	s.send(wire.Packet{Number: 2, Data: call(t, 1)})
	var (
		answer  wire.Collector
		data    []byte
		taken   uint64
		number  uint64 = 2
		said    *wire.EndError
		failure error
	)
	for failure == nil {
		p := s.next()
		require.Nil(t, p.Close)
		data, taken, number = append(data, p.Data...), taken+uint64(len(p.Data)), number+1
		s.send(wire.Packet{Number: number, Taken: taken})
		for failure == nil {
			message, rest, whole := wire.WholeMessage(data)
			if !whole {
				break
			}
			data = rest
			r, err := wire.DecodeReturn(message)
			require.NoError(t, err)
			_, _, failure = answer.Add(r.Frame)
		}
	}
	require.ErrorAs(t, failure, &said)
	require.ErrorContains(t, failure, "took nothing more of the answer for 100ms")
	require.ErrorIs(t, failure, gcnode.ErrTimeout)
	require.ErrorIs(t, <-failed, gcnode.ErrTimeout)
	eventually(t, func() bool { return server.Stats().Running == 0 }, "its place is free")
}

// TestBadServers answers a request with what ends the stream: the request fails
// at once, and the next one is asked on another stream.
func TestBadServers(t *testing.T) {
	reply := func(key int, value string) []byte {
		out, err := wire.AppendReply(nil, 1, &gcnode.Reply{Key: key, Value: gcnode.StringValue(value)})
		require.NoError(t, err)
		return append(out.Head, out.Data...)
	}
	end := wire.AppendEnd(nil, 1, nil)
	tests := map[string]struct {
		packets []wire.Packet // after the first one
		want    string        // empty: the answer is in order
	}{
		"in order":               {[]wire.Packet{{Number: 2, Data: append(reply(0, "v"), end...)}}, ""},
		"a message in parts":     {[]wire.Packet{{Number: 2, Data: reply(0, "v")[:3]}, {Number: 3, Data: append(reply(0, "v")[3:], end...)}}, ""},
		"a packet is missing":    {[]wire.Packet{{Number: 3, Data: end}}, "lost"},
		"took what was not sent": {[]wire.Packet{{Number: 2, Taken: 1 << 40}}, "were taken of"},
		"no message":             {[]wire.Packet{{Number: 2, Data: []byte("\xff\xff\xff\xff\xff\xff")}}, "message"},
		"no place for packets":   {[]wire.Packet{{Number: 2, At: "a.b.c d"}}, "no place"},
		"a key twice":            {[]wire.Packet{{Number: 2, Data: append(reply(0, "v"), reply(0, "v")...)}}, "second reply"},
		"another key":            {[]wire.Packet{{Number: 2, Data: reply(1, "v")}}, "not asked for"},
		"closed":                 {[]wire.Packet{{Number: 9, Close: &gcnode.Error{Kind: gcnode.KindDraining}}}, "shutting down"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, nil).ClientURL()
			nc := connect(t, url)
			answer := func(m *nats.Msg, p wire.Packet) {
				if err := nc.Publish(m.Reply, wire.AppendPacket(nil, &p)); err != nil {
					t.Error(err)
				}
			}
			_, err := nc.Subscribe("gcnode.default.node.server", func(m *nats.Msg) { answer(m, wire.Packet{Number: 1, At: "THEM.1"}) })
			require.NoError(t, err)
			_, err = nc.Subscribe("gcnode.default.at.THEM.1", func(m *nats.Msg) {
				if p, err := wire.DecodePacket(m.Data); err != nil || p.Number != 2 {
					return // the client ends the stream
				}
				for _, p := range test.packets {
					answer(m, p)
				}
			})
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			client := newClient(t, connect(t, url), natstransport.ClientOptions{})
			start := time.Now()
			got, err := fetch(t.Context(), client, "k")
			require.Less(t, time.Since(start), 2*time.Second, "it is known at once")
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "v", got[0].Value.String())
				return
			}
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// TestBadAnswersToBegunRequests has three requests that were begun, "a", "b" and
// "c", and an answer to each in one packet. What is wrong with one of them does not
// concern the others.
func TestBadAnswersToBegunRequests(t *testing.T) {
	reply := func(exchange uint64, key int, value string) []byte {
		out, err := wire.AppendReply(nil, exchange, &gcnode.Reply{Key: key, Value: gcnode.StringValue(value)})
		require.NoError(t, err)
		return append(out.Head, out.Data...)
	}
	end := func(exchange uint64) []byte { return wire.AppendEnd(nil, exchange, nil) }
	whole := func(exchange uint64, value string) []byte { return append(reply(exchange, 0, value), end(exchange)...) }
	start, err := wire.AppendReply(nil, 3, &gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", wire.PieceBytes+1))})
	require.NoError(t, err)
	large := append(start.Head, start.Data...)
	pending, err := wire.AppendReply(nil, 3, &gcnode.Reply{Pending: true})
	require.NoError(t, err)
	tests := map[string]struct {
		b    []byte // the answer to "b"
		want string // empty: it is in order
	}{
		"in order":                    {whole(3, "v"), ""},
		"with the end apart":          {slices.Concat(reply(3, 0, "v"), reply(9, 0, "nobody's"), end(3)), ""},
		"pending":                     {slices.Concat(pending.Head, pending.Head, whole(3, "v")), ""},
		"without a reply":             {end(3), "without an answer"},
		"another key":                 {slices.Concat(reply(3, 1, "v"), end(3)), "not asked for"},
		"the right key after another": {slices.Concat(reply(3, 1, "v"), whole(3, "v")), "not asked for"},
		"a key twice":                 {slices.Concat(reply(3, 0, "v"), reply(3, 0, "w"), end(3)), "second reply"},
		"ended amid the value":        {slices.Concat(large, end(3)), "missing"},
		"refused":                     {wire.AppendRefusal(nil, 3, &gcnode.Error{Kind: gcnode.KindDenied}), ""},
		"failed":                      {wire.AppendEnd(nil, 3, &gcnode.Error{Kind: gcnode.KindInternal}), "internal"},
		"no frame":                    {[]byte("\x07\x08\x03\x12\x03\xff\xff\xff"), "malformed"},
		"of a newer version":          {slices.Concat([]byte("\x08\x08\x03\x12\x04\x9a\x3f\x01x"), whole(3, "v")), ""},
		"newer, and then its end":     {slices.Concat([]byte("\x08\x08\x03\x12\x04\x9a\x3f\x01x"), end(3)), "without an answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, nil).ClientURL()
			nc := connect(t, url)
			var number, taken uint64 = 1, 0
			answer := func(m *nats.Msg, data []byte) {
				for part := range slices.Chunk(data, 100<<10) {
					number++
					p := wire.Packet{Number: number, Taken: taken, Data: part}
					if err := nc.Publish(m.Reply, wire.AppendPacket(nil, &p)); err != nil {
						t.Error(err)
					}
				}
			}
			_, err := nc.Subscribe("gcnode.default.node.server", func(m *nats.Msg) {
				if err := nc.Publish(m.Reply, wire.AppendPacket(nil, &wire.Packet{Number: 1, At: "THEM.1"})); err != nil {
					t.Error(err)
				}
			})
			require.NoError(t, err)
			asked := 0
			_, err = nc.Subscribe("gcnode.default.at.THEM.1", func(m *nats.Msg) {
				p, err := wire.DecodePacket(m.Data)
				if err != nil {
					t.Error(err)
				}
				taken += uint64(len(p.Data))
				for rest := p.Data; len(rest) > 0; {
					b, after, _ := wire.WholeMessage(rest)
					rest = after
					if call, err := wire.DecodeCall(b); err != nil || call.Request == nil && call.Key == nil {
						continue // a cancel
					}
					switch asked++; asked {
					case 1:
						answer(m, whole(1, "first"))
					case 4:
						answer(m, slices.Concat(whole(2, "a"), test.b, whole(4, "c")))
					}
				}
			})
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			client := newClient(t, connect(t, url), natstransport.ClientOptions{})
			_, err = fetch(t.Context(), client, "k")
			require.NoError(t, err)
			a, _ := begin(t, client, "a")
			b, _ := begin(t, client, "b")
			c, _ := begin(t, client, "c")
			replies, err := b.Wait(t)
			if test.want == "" {
				require.NoError(t, err)
				require.NotEmpty(t, replies)
			} else {
				require.ErrorContains(t, cmp.Or(err, noAnswer(replies)), test.want)
			}
			for x, want := range map[*transporttest.Queue]string{a: "a", c: "c"} {
				replies, err := x.Wait(t)
				require.NoError(t, err)
				require.Equal(t, want, replies[0].Value.String())
			}
		})
	}
}

// noAnswer is an error if there are no replies: an exchange may end without.
func noAnswer(replies []gcnode.Reply) error {
	if len(replies) == 0 {
		return errors.New("without an answer")
	}
	return nil
}

// TestQuestionsThatAreAlike come in packets of a few bytes, so that they lie in
// memory that is used again. What the member keeps of them stays as it was.
func TestQuestionsThatAreAlike(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const asked = 100
	kept := make(chan string, asked)
	serve(t, connect(t, url), handlerFunc(func(_ context.Context, req *gcnode.Request, _ gcnode.ReplyWriter) error {
		kept <- req.Keys[0]
		return nil
	}), natstransport.ServerOptions{})
	s := newStranger(t, url)
	data, want := call(t, 1), []string{"k"}
	for i := range asked - 1 {
		want = append(want, "key "+strconv.Itoa(i))
		data = wire.AppendCallKey(data, uint64(i+2), want[i+1])
	}
	number := uint64(1)
	for part := range slices.Chunk(data, 7) {
		number++
		s.send(wire.Packet{Number: number, Data: part})
	}
	got := make([]string, asked)
	for i := range got {
		got[i] = <-kept
	}
	require.ElementsMatch(t, want, got)
}
