package natstransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

var errTooLong = errors.New("it is longer than a NATS message may be (max_payload)")

// eventTokens are the last ones of the subjects for what is broadcast.
var eventTokens = map[gcnode.Op]string{ //nolint:gochecknoglobals // a constant
	gcnode.OpRemove: removalsToken, gcnode.OpFinish: endsToken, gcnode.OpReport: reportsToken,
}

// broadcast is what is published to all members, in a few messages if it is too
// long for one.
type broadcast struct {
	messages int
	first    uint64 // number of the first message; the others have the next ones

	mu    sync.Mutex
	peers []awaited // by ID
	left  int       // of the peers, have not answered
	take  func(gcnode.Peer, gcnode.Reply)
	done  chan struct{} // closed when nobody else will answer
	ended bool
}

// awaited is a peer who is to answer all messages.
type awaited struct {
	gcnode.Peer

	missing int           // messages
	heard   []bool        // which are not missing
	reply   *gcnode.Reply // to those, taken together; nil: there is none, or there is one message
}

// Broadcast implements [gcnode.Broadcaster]: NATS gives the message to all
// servers of members. Its error says that there is a removal that fits into no
// message, or that the connection is not there.
func (c *Client) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(from gcnode.Peer, r gcnode.Reply)) error {
	if !c.nc.IsConnected() {
		return errDisconnected
	}
	messages, err := cutRequest(req, int(c.nc.MaxPayload()))
	if err != nil {
		return err
	}
	subject := c.subjects.event(eventTokens[req.Op])
	if len(to) == 0 {
		for _, m := range messages {
			err = errors.Join(err, c.nc.Publish(subject, m))
		}
		return err
	}
	b := newBroadcast(to, len(messages), take)
	if err := c.begin(b); err != nil {
		return err
	}
	defer c.finish(b)
	for i, m := range messages {
		if err := c.nc.PublishRequest(subject, c.subjects.back(c.id, streamToken(b.first+uint64(i))), m); err != nil {
			return err
		}
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
	}
}

// newBroadcast awaits the answers of peers to a number of messages.
func newBroadcast(to []gcnode.Peer, messages int, take func(gcnode.Peer, gcnode.Reply)) *broadcast {
	b := &broadcast{messages: messages, peers: make([]awaited, len(to)), take: take, done: make(chan struct{})}
	heard := make([]bool, len(to)*messages)
	for i, p := range to {
		b.peers[i] = awaited{Peer: p, missing: messages, heard: heard[i*messages : (i+1)*messages]}
	}
	slices.SortFunc(b.peers, func(p, q awaited) int { return cmp.Compare(p.ID, q.ID) })
	b.peers = slices.CompactFunc(b.peers, func(p, q awaited) bool { return p.ID == q.ID })
	b.left = len(b.peers)
	return b
}

// peer is one of those who are to answer, or nil.
func (b *broadcast) peer(id string) *awaited {
	i, found := slices.BinarySearchFunc(b.peers, id, func(p awaited, id string) int { return cmp.Compare(p.ID, id) })
	if !found {
		return nil
	}
	return &b.peers[i]
}

// cutRequest encodes a request in messages with some of its removals each.
func cutRequest(req *gcnode.Request, limit int) ([][]byte, error) {
	message, err := wire.AppendRequest(nil, req)
	switch {
	case err != nil:
		return nil, err
	case len(message) <= limit:
		return [][]byte{message}, nil
	case len(req.Removals)+len(req.Finished) < 2:
		return nil, errTooLong
	}
	first, rest := *req, *req
	middle := (len(req.Removals) + 1) / 2 // so that neither half is empty
	first.Removals, rest.Removals = req.Removals[:middle], req.Removals[middle:]
	middle = len(req.Finished) / 2
	first.Finished, rest.Finished = req.Finished[:middle], req.Finished[middle:]
	messages, err := cutRequest(&first, limit)
	if err != nil {
		return nil, err
	}
	more, err := cutRequest(&rest, limit)
	return append(messages, more...), err
}

// begin gives numbers to the messages of a broadcast.
func (c *Client) begin(b *broadcast) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClientClosed
	}
	for i := range b.messages {
		n := c.number()
		if i == 0 {
			b.first = n
		}
		c.broadcasts[n] = b
	}
	return nil
}

// finish takes out a broadcast; take is not called any more.
func (c *Client) finish(b *broadcast) {
	c.mu.Lock()
	for i := range b.messages {
		delete(c.broadcasts, b.first+uint64(i))
	}
	c.mu.Unlock()
	b.end()
}

// end says that nobody else will answer.
func (b *broadcast) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended = true
		close(b.done)
	}
}

// confirmed takes an answer to a message that was broadcast. All of them come to
// the same subject, since NATS finds the way to a subject slowly that it does not
// know.
func (c *Client) confirmed(data []byte) {
	answer, err := c.confirmations.Decode(data)
	if err != nil {
		return // as if there were none
	}
	c.mu.RLock()
	b := c.broadcasts[answer.Number]
	c.mu.RUnlock()
	if b != nil {
		b.receive(&answer)
	}
}

// receive takes an answer to one of the messages.
func (b *broadcast) receive(answer *wire.Confirmation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peer(answer.Peer.ID)
	message := answer.Number - b.first
	if b.ended || p == nil || p.Addr != "" && p.Addr != answer.Peer.Addr || p.heard[message] {
		return
	}
	p.Addr = answer.Peer.Addr // one instance has to answer all messages
	p.heard[message] = true
	p.missing--
	if b.messages > 1 {
		answer.Reply = p.add(answer.Reply)
	}
	if p.missing > 0 {
		return
	}
	b.left--
	b.take(p.Peer, answer.Reply)
	if b.left == 0 {
		b.ended = true
		close(b.done)
	}
}

// add takes account of the answer to one message, and returns that to all so far:
// an error counts for all, who was known at any time has to be told, and what was
// left was written by the latest time.
func (p *awaited) add(r gcnode.Reply) gcnode.Reply {
	switch {
	case p.reply == nil:
		p.reply = &r
	case p.reply.Err != nil:
	case r.Err != nil:
		*p.reply = r
	default:
		p.reply.Ack.Members = append(p.reply.Ack.Members, r.Ack.Members...)
		p.reply.Ack.Time = max(p.reply.Ack.Time, r.Ack.Time)
	}
	return *p.reply
}

// isNoResponders reports whether NATS says that nobody has got a message.
func isNoResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

// broadcastsBelow are those under way with a message whose number is below this
// one.
func (c *Client) broadcastsBelow(number uint64) map[*broadcast]bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := map[*broadcast]bool{}
	for n, b := range c.broadcasts {
		if n < number {
			all[b] = true
		}
	}
	return all
}

// listener hears what is broadcast, in the one goroutine of a subscription. What it
// keeps is memory that is used again and again.
type listener struct {
	*Server

	decoder      wire.RequestDecoder
	req          gcnode.Request
	answer       gcnode.Reply
	confirmation []byte
	// client is what the reply subjects of the last client begin with, and
	// confirmed where its broadcasts are confirmed.
	client, confirmed string
}

func newListener(s *Server) *listener {
	return &listener{Server: s, decoder: wire.RequestDecoder{Reuse: true}}
}

// hear applies what was broadcast, and confirms it. Who cannot do that says
// nothing, and is told by itself.
func (l *listener) hear(subject, reply string, data []byte) {
	if len(data) == 0 || l.ctx.Err() != nil {
		return // somebody finds out whether he may say something, or the server is closed
	}
	req := &l.req
	err := l.decoder.Decode(data, req)
	switch {
	case err != nil:
	case req.From.ID == l.opts.ID:
		return // it knows
	case eventTokens[req.Op] == "":
		err = fmt.Errorf("members do not broadcast %v", req.Op)
	case l.place() != nil:
		return
	default:
		l.counts.requests.Add(1)
		l.answer = gcnode.Reply{}
		err = l.serve(l.ctx, req, l)
		<-l.places
		if len(data) > keptBytes {
			l.req = gcnode.Request{}
		}
		if err == nil && reply != "" {
			err = l.confirm(reply)
		}
	}
	if err != nil {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "what was broadcast is of no use",
			slog.String("subject", subject), slog.String("err", err.Error()))
	}
}

// WriteReply implements [gcnode.ReplyWriter].
func (l *listener) WriteReply(r gcnode.Reply) error {
	l.answer = r
	return nil
}

// confirm answers a broadcast.
func (l *listener) confirm(reply string) (err error) {
	number, ok := streamNumber(reply)
	if !ok {
		return fmt.Errorf("the reply subject %q does not end with a number", reply)
	}
	if client := strings.TrimSuffix(reply, lastToken(reply)); client != l.client {
		l.client, l.confirmed = client, client+confirmedToken
	}
	c := wire.Confirmation{Peer: gcnode.Peer{ID: l.opts.ID, Addr: l.instance}, Reply: l.answer, Number: number}
	l.confirmation, err = wire.AppendConfirmation(l.confirmation[:0], &c)
	if err != nil {
		return err
	}
	return l.nc.Publish(l.confirmed, l.confirmation)
}
