package httptransport

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/http/certs"
)

const (
	// DefaultClockWindow is the default of [HandlerOptions.ClockWindow].
	DefaultClockWindow = 30 * time.Second
	// DefaultMaxNonces is the default of [HandlerOptions.MaxNonces]: some 40 MB
	// at most.
	DefaultMaxNonces = 1 << 20
)

// caller is who sent a request.
type caller struct {
	*signed // nil: it is not signed, and need not be

	gate   *gate    // beside signed
	digest string   // of the body, beside signed
	names  []string // under which the sender may be in the access list
}

// gate is what a handler needs to know senders by signatures.
type gate struct {
	self    string
	secrets *Secrets
	access  *Access
	window  time.Duration
	now     func() time.Time
	started time.Time // to the millisecond, as signatures have it
	seen    *nonces
	refused refusals
}

// newGate is nil without secrets. The options have been checked.
func newGate(opts HandlerOptions) *gate {
	if opts.Secrets == nil {
		return nil
	}
	g := &gate{self: opts.Self, secrets: opts.Secrets, access: opts.Access, window: opts.ClockWindow, now: opts.Now}
	g.started = time.UnixMilli(g.now().UnixMilli())
	g.seen = newNonces(g.window, opts.MaxNonces)
	return g
}

// authenticate finds out who sent a request, before anything of its body is
// read. With secrets, only what is signed gets in, unless they accept the rest.
func (h *Handler) authenticate(r *http.Request) (*caller, error) {
	if h.gate == nil || h.gate.secrets.unsigned.Load() && !isSigned(r.Header.Get("Authorization")) {
		names, _ := certs.Names(r.TLS)
		return &caller{names: names}, nil
	}
	return h.gate.verify(r)
}

// unauthorized counts and returns why it is not known who sent a request.
func unauthorized(count *atomic.Uint64, format string, args ...any) *problem {
	count.Add(1)
	return &problem{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

// verify checks the signature of a request. What it says of the time and of the
// nonce it says to those only who have the secret.
func (g *gate) verify(r *http.Request) (*caller, error) {
	s, ok := parseSignature(r.Header.Get("Authorization"))
	if !ok {
		return nil, unauthorized(&g.refused.missing, "this member wants requests to be signed with a shared secret (Authorization: %s …)", signatureScheme)
	}
	with := g.secrets.find(s.key)
	if with == nil {
		return nil, unauthorized(&g.refused.unknown, "there is no secret with the id %.64q here", s.key)
	}
	if !isMAC(s.mac, s.sum(with, r.Method, r.RequestURI)) {
		return nil, unauthorized(&g.refused.wrong, "the signature is wrong: the secret %q is another one here, or the request was changed", s.key)
	}
	if node, err := url.PathUnescape(s.node); err != nil || node != g.self {
		return nil, unauthorized(&g.refused.misdirected, "this is the member %.64q, and the request is for %.64q", g.self, s.node)
	}
	who := &caller{signed: &signed{with, s.mac}, gate: g, digest: s.digest, names: []string{with.id}}
	// A request from before the start may have been there before that; but nobody
	// can use a stream without its key, for which this member gives a nonce as well.
	since := g.started
	if isUpgrade(r) {
		since = time.Time{}
	}
	return who, g.admitOnce(&s, since, g.access.role(who.names))
}

// admitOnce refuses a request that is too old, or was there before.
func (g *gate) admitOnce(s *signature, since time.Time, of role) error {
	millis, err := strconv.ParseInt(s.time, 10, 64)
	var id nonce
	if err != nil || !decode(s.nonce, id[:]) {
		return unauthorized(&g.refused.wrong, "the time of the signature must be milliseconds since 1970, and its nonce %d bytes", nonceBytes)
	}
	at, now := time.UnixMilli(millis), time.UnixMilli(g.now().UnixMilli())
	if ahead := at.Sub(now); ahead > g.window || ahead < -g.window {
		return unauthorized(&g.refused.clock, "the time of the signature with %q differs from the clock here by %v; at most %v are allowed",
			s.key, ahead, g.window)
	}
	if at.Before(since) {
		return unauthorized(&g.refused.early, "the request with %q was signed before this member started: it may be a replay, or the clock of its sender is %v behind",
			s.key, since.Sub(at))
	}
	switch g.seen.add(id, at, now, of) {
	case isRepeated:
		return unauthorized(&g.refused.replayed, "the request with %q was here before: its nonce is used up", s.key)
	case isForgotten:
		return unauthorized(&g.refused.clock, "the request with %q is from a time of which the nonces are forgotten: the clock here was set back", s.key)
	case isOneTooMany:
		return g.tooMany("%d signed requests are remembered, which is the most (MaxNonces)", g.seen.limit)
	case isOneTooManyOfClients:
		return g.tooMany("%d signed requests of clients are remembered, which is half of the most (MaxNonces)", half(g.seen.limit))
	default:
		return nil
	}
}

// tooMany counts and returns that no more requests can be remembered.
func (g *gate) tooMany(format string, limit int) *gcnode.Error {
	g.refused.tooMany.Add(1)
	return &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: g.window, Err: fmt.Errorf(format, limit)}
}

// turnAway answers a request that does not get in.
func (h *Handler) turnAway(w http.ResponseWriter, r *http.Request, who *caller, err error) {
	refusal, typed := errors.AsType[*gcnode.Error](err)
	switch {
	case !typed:
		h.refuse(w, r, nil, problemOf(err))
	case isUpgrade(r):
		h.refuse(w, r, who, &problem{http.StatusServiceUnavailable, refusal.Reason()})
	default:
		h.decline(w, r, who, refusal)
	}
}

// valid fails if a stream could not be begun any more as it was: its secret is
// none of the secrets now, or it has none and needs one.
func (h *Handler) valid(who *caller) error {
	switch {
	case h.gate == nil:
		return nil
	case who.signed == nil && !h.gate.secrets.unsigned.Load():
		return errNotSigned
	case who.signed != nil && h.gate.secrets.find(who.secret.id) != who.secret:
		return errSecretGone
	default:
		return nil
	}
}

// body is that of the request, whose end is an error unless it is the one that
// was signed.
func (c *caller) body(r io.Reader) io.Reader {
	if c.signed == nil {
		return r
	}
	return &digestReader{r: r, sum: sha256.New(), want: c.digest, refused: &c.gate.refused}
}

// digestReader reads a body of which the digest is known.
type digestReader struct {
	r    io.Reader
	sum  hash.Hash
	want string

	refused *refusals
}

// Read implements [io.Reader].
func (d *digestReader) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	d.sum.Write(b[:n])
	if errors.Is(err, io.EOF) && !isMAC(d.want, d.sum.Sum(nil)) {
		return n, unauthorized(&d.refused.wrong, "the body is not the one that was signed")
	}
	return n, err
}
