package natstransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultArchiveBytes is the default of [ArchiveOptions.MaxBytes].
	DefaultArchiveBytes = 16 << 20
	// DefaultArchiveAge is the default of [ArchiveOptions.MaxAge].
	DefaultArchiveAge = time.Hour
	// streamTimeout bounds the time for JetStream to answer.
	streamTimeout = 2 * time.Second
	// streamCheck is how often, at most, who broadcasts looks whether the stream
	// is there.
	streamCheck = 30 * time.Second
	// readerBeat is how often JetStream says, while the stream is read, that it is
	// there; two that are missing end that. readerPatience is for how long a removal
	// may not come in any case: nats.go misses no beats while the connection is
	// interrupted. readerTime is how long JetStream remembers a reader that has ended.
	readerBeat     = time.Second
	readerPatience = 4 * readerBeat
	readerTime     = 10 * time.Second
	// apiPrefix is what subjects of JetStream begin with.
	apiPrefix = "$JS.API."
)

var errSilentStream = errors.New("nothing more comes")

// ArchiveOptions are those of [NewArchive]. The zero value is ready for use.
type ArchiveOptions struct {
	// MaxBytes and MaxAge bound what the stream keeps; the oldest goes first. 0
	// is DefaultArchiveBytes, and DefaultArchiveAge. They matter to whoever makes
	// the stream: one that is there stays as it is.
	MaxBytes int64
	MaxAge   time.Duration
	// Replicas is how many servers of a NATS cluster have the stream; 0 is one.
	Replicas int
	// InMemory keeps the stream in the memory of the servers.
	InMemory bool
	// Logger gets what is wrong with the stream. nil: nothing is logged.
	Logger *slog.Logger
}

// Archive is a client whose removals are kept by JetStream, so that a member
// that was away applies what it has missed, and need not drop what it has. All
// members should use one.
//
// It is a help and not a part of any promise: what the stream does not have, or
// when there is none, a member drops everything as without an archive. A stream
// that is missing is made.
type Archive struct {
	*Client

	js      jetstream.JetStream
	config  jetstream.StreamConfig
	log     *slog.Logger
	checked atomic.Int64 // when it was last looked for the stream, in nanoseconds since 1970
}

// NewArchive makes the stream unless it is there. It fails if an option makes no
// sense, if NATS cannot be reached, and if the user of the connection lacks a
// permission, which the error names; JetStream that is not there is only logged.
func NewArchive(c *Client, opts ArchiveOptions) (*Archive, error) {
	if opts.MaxBytes < 0 || opts.MaxAge < 0 || opts.Replicas < 0 {
		return nil, fmt.Errorf("new NATS archive: MaxBytes %d, MaxAge %v and Replicas %d must not be negative", opts.MaxBytes, opts.MaxAge, opts.Replicas)
	}
	js, err := jetstream.New(c.nc)
	if err != nil {
		return nil, fmt.Errorf("new NATS archive: %w", err)
	}
	a := &Archive{Client: c, js: js, log: opts.Logger, config: jetstream.StreamConfig{
		Name:        strings.ReplaceAll(string(c.subjects)+removalsToken, ".", "-"),
		Description: "removals that members of a gcnode cluster may have missed",
		Subjects:    []string{c.subjects.event(removalsToken)},
		MaxBytes:    cmp.Or(opts.MaxBytes, DefaultArchiveBytes),
		MaxAge:      cmp.Or(opts.MaxAge, DefaultArchiveAge),
		Replicas:    max(opts.Replicas, 1),
		NoAck:       true, // members confirm
	}}
	if opts.InMemory {
		a.config.Storage = jetstream.MemoryStorage
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if err := a.begin(); err != nil {
		return nil, fmt.Errorf("new NATS archive: %w", err)
	}
	return a, nil
}

// begin looks for the stream, after it has found out whether JetStream may be
// asked: empty requests of nobody are allowed or not, and nothing else.
func (a *Archive) begin() error {
	before := a.nc.LastError()
	for _, request := range []string{"STREAM.INFO.%s", "STREAM.CREATE.%s", "CONSUMER.CREATE.%s.none", "CONSUMER.MSG.NEXT.%s.none"} {
		if err := a.nc.Publish(apiPrefix+fmt.Sprintf(request, a.config.Name), nil); err != nil {
			return err
		}
	}
	if err := settle(a.nc, before, apiPrefix); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), streamTimeout)
	defer cancel()
	a.check(ctx)
	inbox := a.nc.NewInbox() // where JetStream answers is beside it
	return settle(a.nc, before, strings.TrimSuffix(inbox, lastToken(inbox)))
}

// check makes the stream unless it is there.
func (a *Archive) check(ctx context.Context) {
	a.checked.Store(time.Now().UnixNano())
	_, err := a.js.Stream(ctx, a.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = a.js.CreateStream(ctx, a.config)
	}
	if err != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "removals are not kept for members that are away",
			slog.String("stream", a.config.Name), slog.String("err", err.Error()))
	}
}

// Broadcast implements [gcnode.Broadcaster]. From time to time it looks whether
// the stream is there.
func (a *Archive) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(from gcnode.Peer, r gcnode.Reply)) error {
	err := a.Client.Broadcast(ctx, to, req, take)
	if checked := a.checked.Load(); time.Now().UnixNano()-checked > int64(streamCheck) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), streamTimeout)
		defer cancel()
		a.check(ctx)
	}
	return err
}

// Replay implements [gcnode.Archive]. It is an error if there is no stream,
// which is made for what comes.
func (a *Archive) Replay(ctx context.Context, take func(gcnode.Removal)) error {
	stream, err := a.js.Stream(ctx, a.config.Name)
	if err != nil {
		a.check(ctx)
		return fmt.Errorf("look into stream %s: %w", a.config.Name, err)
	}
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	reader, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readerTime,
	})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", a.config.Name, err)
	}
	messages, err := reader.Messages(jetstream.PullHeartbeat(readerBeat))
	if err != nil {
		return fmt.Errorf("read stream %s: %w", a.config.Name, err)
	}
	defer messages.Stop()
	for {
		m, err := nextMessage(ctx, messages)
		if err != nil {
			return fmt.Errorf("read stream %s: %w", a.config.Name, err)
		}
		if req, err := wire.DecodeRequest(m.Data()); err == nil && req.Op == gcnode.OpRemove {
			for _, r := range req.Removals {
				take(r)
			}
		}
		if at, err := m.Metadata(); err != nil || at.NumPending == 0 {
			return err
		}
	}
}

// nextMessage is the next message of a stream that is read.
func nextMessage(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	patience, cancel := context.WithTimeoutCause(ctx, readerPatience, errSilentStream)
	defer cancel()
	m, err := messages.Next(jetstream.NextContext(patience))
	if err != nil && patience.Err() != nil {
		err = context.Cause(patience)
	}
	return m, err
}
