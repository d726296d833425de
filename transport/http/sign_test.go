package httptransport_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// mac is the HMAC-SHA-256 of lines, as docs/protocol.md has it.
func mac(secret string, lines ...string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// claim is a request that is signed by hand, from docs/protocol.md alone.
type claim struct {
	method, target, body string
	key, secret          string
	node, nonce          string
	at                   time.Time
}

// newClaim is a request for the member "a" that is right in all.
func newClaim(t *testing.T, method string) claim {
	t.Helper()
	random := make([]byte, 16)
	_, _ = rand.Read(random)
	c := claim{
		method: method, target: "/", key: "k", secret: secretOf("k"), node: "a",
		nonce: base64.RawURLEncoding.EncodeToString(random), at: time.Now(),
	}
	if method == http.MethodPost {
		c.body = encode(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	}
	return c
}

// sign is the header field, and the signature in it.
func (c claim) sign() (header, signature string) {
	sum := sha256.Sum256([]byte(c.body))
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	at := strconv.FormatInt(c.at.UnixMilli(), 10)
	signature = mac(c.secret, "gcnode.peer.v1 request", c.key, at, c.nonce, c.node, c.method, c.target, digest)
	return fmt.Sprintf(`Gcnode-HMAC-SHA256 key=%q, time=%q, nonce=%q, node=%q, digest=%q, mac=%q`,
		c.key, at, c.nonce, c.node, digest, signature), signature
}

// request is what is sent with a header field, to be changed on the way.
func (c claim) request(t *testing.T, m *member, authorization string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, m.URL+c.target, strings.NewReader(c.body))
	require.NoError(t, err)
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", contentType)
	if c.method == http.MethodGet {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "gcnode.peer.v1")
		req.Body = http.NoBody
	}
	return req
}

// exchanged sends a request, and returns the status and the beginning of the answer.
func exchanged(t *testing.T, req *http.Request) (status int, text string, header http.Header) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, "", resp.Header
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), resp.Header
}

// guarded is a member that wants signatures, and counts what it serves.
func guarded(t *testing.T, opts httptransport.HandlerOptions) (*member, *atomic.Int32) {
	t.Helper()
	var served atomic.Int32
	if opts.Self == "" {
		opts.Self = "a"
	}
	return serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		served.Add(1)
		return echo(ctx, req, w)
	}), opts), &served
}

// methods are those of plain requests and of streams.
var methods = []string{http.MethodPost, http.MethodGet}

// accepts is the status of what is let in.
func accepts(method string) int {
	if method == http.MethodGet {
		return http.StatusSwitchingProtocols
	}
	return http.StatusOK
}

// TestARequestSignedByHandIsServed follows docs/protocol.md in both directions.
func TestARequestSignedByHandIsServed(t *testing.T) {
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, "k")})
	c := newClaim(t, http.MethodPost)
	c.target = "/a%2Fb?c=d&e"
	authorization, signature := c.sign()
	status, body, header := exchanged(t, c.request(t, m, authorization))
	require.Equal(t, http.StatusOK, status, body)
	require.EqualValues(t, 1, served.Load())

	var nonce, proof string
	_, err := fmt.Sscanf(header.Get("Authentication-Info"), "nonce=%q, mac=%q", &nonce, &proof)
	require.NoError(t, err)
	require.Equal(t, mac(c.secret, "gcnode.peer.v1 answer", signature, nonce, "200"), proof)
	key, err := base64.RawURLEncoding.DecodeString(mac(c.secret, "gcnode.peer.v1 answering", signature, nonce))
	require.NoError(t, err)
	var plain bytes.Buffer
	for seq := byte(0); body != ""; seq++ {
		size := int(body[0])<<8 | int(body[1])
		h := hmac.New(sha256.New, key)
		h.Write([]byte{0, 0, 0, 0, 0, 0, 0, seq})
		h.Write([]byte(body[2 : 2+size]))
		require.Equal(t, string(h.Sum(nil)), body[2+size:2+size+32])
		plain.WriteString(body[2 : 2+size])
		body = body[2+size+32:]
	}
	r, err := wire.NewReader(&plain).ReadReply()
	require.NoError(t, err)
	require.Equal(t, "k", r.Value.String())
}

// TestWhatIsNotSignedAsItIsSentIsRefused changes requests after they are signed,
// or signs them wrongly.
func TestWhatIsNotSignedAsItIsSentIsRefused(t *testing.T) {
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, "k")})
	for _, method := range methods {
		tests := map[string]struct {
			before func(c *claim)        // it is signed
			after  func(r *http.Request) // it is signed
			header func(h string) string // of what is signed
			says   string
		}{
			"nothing":           {header: func(string) string { return "" }, says: "wants requests to be signed"},
			"a token":           {header: func(string) string { return "Bearer " + secretOf("k") }, says: "wants requests to be signed"},
			"half":              {header: func(h string) string { return h[:strings.Index(h, ", mac")] }, says: "wants requests to be signed"},
			"something twice":   {header: func(h string) string { return h + `, node="a"` }, says: "wants requests to be signed"},
			"forged":            {header: func(h string) string { return h[:len(h)-4] + `AAA"` }, says: "the signature is wrong"},
			"no signature":      {header: func(h string) string { return h[:strings.Index(h, ", mac")] + `, mac="A"` }, says: "the signature is wrong"},
			"another secret":    {before: func(c *claim) { c.secret = secretOf("other") }, says: `the secret "k" is another one here`},
			"another id":        {before: func(c *claim) { c.key = "other" }, says: `no secret with the id "other"`},
			"another node":      {before: func(c *claim) { c.node = "b" }, says: `this is the member "a", and the request is for "b"`},
			"no node":           {before: func(c *claim) { c.node = "%20" }, says: `the request is for "%20"`},
			"a changed node":    {header: func(h string) string { return strings.Replace(h, `node="a"`, `node="b"`, 1) }, says: "the signature is wrong"},
			"a changed time":    {header: func(h string) string { return strings.Replace(h, `time="`, `time="1`, 1) }, says: "the signature is wrong"},
			"a changed nonce":   {header: func(h string) string { return strings.Replace(h, `nonce="`, `nonce="A`, 1) }, says: "the signature is wrong"},
			"a changed digest":  {header: func(h string) string { return strings.Replace(h, `digest="`, `digest="A`, 1) }, says: "the signature is wrong"},
			"a changed path":    {after: func(r *http.Request) { r.URL.Path = "/other" }, says: "the signature is wrong"},
			"a changed query":   {after: func(r *http.Request) { r.URL.RawQuery = "x" }, says: "the signature is wrong"},
			"a changed method":  {after: func(r *http.Request) { r.Method = http.MethodPut }, says: "the signature is wrong"},
			"a short nonce":     {before: func(c *claim) { c.nonce = c.nonce[2:] }, says: "its nonce 16 bytes"},
			"an old clock":      {before: func(c *claim) { c.at = c.at.Add(-31 * time.Second) }, says: `with "k" differs from the clock here by -31`},
			"a clock far ahead": {before: func(c *claim) { c.at = c.at.Add(40 * time.Second) }, says: "at most 30s are allowed"},
		}
		for name, test := range tests {
			t.Run(method+" "+name, func(t *testing.T) {
				c := newClaim(t, method)
				if test.before != nil {
					test.before(&c)
				}
				authorization, _ := c.sign()
				if test.header != nil {
					authorization = test.header(authorization)
				}
				req := c.request(t, m, authorization)
				if test.after != nil {
					test.after(req)
				}
				status, text, header := exchanged(t, req)
				assert.Equal(t, http.StatusUnauthorized, status)
				assert.Contains(t, text, test.says)
				assert.Equal(t, `Gcnode-HMAC-SHA256 node="a"`, header.Get("WWW-Authenticate"))
				assert.NotContains(t, text, secretOf("k"))
				assert.Less(t, len(text), 256, "the asking member shows no more of it")
			})
		}
	}
	c := newClaim(t, http.MethodPost)
	authorization, _ := c.sign()
	c.body = encode(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"K"}})
	status, text, _ := exchanged(t, c.request(t, m, authorization))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, text, "the body is not the one that was signed")
	require.Zero(t, served.Load())
	require.Equal(t, httptransport.HandlerStats{Signatures: httptransport.SignatureStats{
		Missing: 2 * 4, Unknown: 2 * 1, Wrong: 2*11 + 1, Misdirected: 2 * 2, Clock: 2 * 2,
	}}, m.handler.Stats())
}

// TestARequestIsServedOnce sends one again, to the same member and to another.
func TestARequestIsServedOnce(t *testing.T) {
	shared := secrets(t, "k")
	a, served := guarded(t, httptransport.HandlerOptions{Secrets: shared})
	b, others := guarded(t, httptransport.HandlerOptions{Secrets: shared, Self: "b"})
	for _, method := range methods {
		c := newClaim(t, method)
		authorization, _ := c.sign()
		status, text, _ := exchanged(t, c.request(t, a, authorization))
		require.Equal(t, accepts(method), status, text)
		before := served.Load()
		status, text, _ = exchanged(t, c.request(t, a, authorization))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, text, `the request with "k" was here before`)
		status, text, _ = exchanged(t, c.request(t, b, authorization))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, text, `this is the member "b", and the request is for "a"`)
		require.Equal(t, before, served.Load())
	}
	require.EqualValues(t, 1, served.Load())
	require.Zero(t, others.Load())
	require.Equal(t, httptransport.SignatureStats{Replayed: 2}, a.handler.Stats().Signatures)
	require.Equal(t, httptransport.SignatureStats{Misdirected: 2}, b.handler.Stats().Signatures)
}

// TestARequestIsNotServedAgainAfterARestart sends one that was signed before the
// member has started, which cannot know what was there before that. A stream is
// of no use to whoever cannot sign what goes over it.
func TestARequestIsNotServedAgainAfterARestart(t *testing.T) {
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, "k")})
	for _, method := range methods {
		c := newClaim(t, method)
		c.at = c.at.Add(-10 * time.Second)
		authorization, _ := c.sign()
		status, text, _ := exchanged(t, c.request(t, m, authorization))
		if method == http.MethodGet {
			require.Equal(t, http.StatusSwitchingProtocols, status)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, text, `with "k" was signed before this member started`)
	}
	require.Equal(t, httptransport.SignatureStats{Early: 1}, m.handler.Stats().Signatures)
	require.Zero(t, served.Load())
}

// TestClocksMayDifferByTheWindow has the clock of a client.
func TestClocksMayDifferByTheWindow(t *testing.T) {
	shared := secrets(t, "k")
	early := time.Now().Add(-time.Hour) // the start is not what this is about
	var elapsed atomic.Int64
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: shared, ClockWindow: time.Minute, Now: func() time.Time {
		return early.Add(time.Duration(elapsed.Load()))
	}})
	elapsed.Store(int64(time.Hour))
	for way, opts := range ways() {
		for ahead, says := range map[time.Duration]string{
			-61 * time.Second: "differs from the clock here by -1m1s; at most 1m0s are allowed",
			-59 * time.Second: "",
			59 * time.Second:  "",
			61 * time.Second:  "differs from the clock here by 1m1s; at most 1m0s are allowed",
		} {
			opts.Secrets, opts.Now = shared, func() time.Time { return early.Add(time.Hour + ahead) }
			_, err := fetchFrom(t, newClient(t, opts), "a", m.URL, "k")
			if says == "" {
				require.NoError(t, err, "%s, %v", way, ahead)
				continue
			}
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, says)
		}
	}
}

// fetchFrom asks a member of which the ID is known.
func fetchFrom(t *testing.T, c *httptransport.Client, id, addr string, keys ...string) ([]gcnode.Reply, error) {
	t.Helper()
	var got collect
	err := c.RoundTrip(t.Context(), gcnode.Peer{ID: id, Addr: addr}, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: keys}, &got)
	return got.replies, err
}

// TestRememberedRequestsAreBounded signs more requests than are remembered.
func TestRememberedRequestsAreBounded(t *testing.T) {
	shared := secrets(t, "k")
	now := time.Now()
	var elapsed atomic.Int64
	clock := func() time.Time { return now.Add(time.Duration(elapsed.Load())) }
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: shared, MaxNonces: 3, Now: clock})
	plain := newClient(t, httptransport.ClientOptions{Secrets: shared, Plain: true, Now: clock})
	for range 3 {
		_, err := fetchFrom(t, plain, "a", m.URL, "k")
		require.NoError(t, err)
	}
	got, err := fetchFrom(t, plain, "a", m.URL, "k")
	require.NoError(t, err)
	require.ErrorIs(t, got[0].Err, gcnode.ErrOverloaded)
	require.ErrorContains(t, got[0].Err, "3 signed requests are remembered, which is the most (MaxNonces)")
	require.Equal(t, 30*time.Second, got[0].Err.RetryAfter)
	c := newClaim(t, http.MethodGet)
	c.at = clock()
	authorization, _ := c.sign()
	status, _, _ := exchanged(t, c.request(t, m, authorization))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.EqualValues(t, 3, served.Load())
	require.Equal(t, httptransport.SignatureStats{TooMany: 2}, m.handler.Stats().Signatures)

	elapsed.Store(int64(61 * time.Second)) // they are forgotten, and too old
	for range 3 {
		_, err := fetchFrom(t, plain, "a", m.URL, "k")
		require.NoError(t, err)
	}
	require.EqualValues(t, 6, served.Load())
}

// TestClientsLeaveRoomForTheSignaturesOfMembers has a client that signs as many
// requests as are remembered.
func TestClientsLeaveRoomForTheSignaturesOfMembers(t *testing.T) {
	access := httptransport.NewAccess(map[string]httptransport.Grant{"node": {Member: true}, "shop": {Read: []string{"g"}}})
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, "node", "shop"), Access: access, MaxNonces: 5})
	ask := func(id string) *gcnode.Error {
		refusal, err := fetchAs(t, newClient(t, httptransport.ClientOptions{Secrets: secrets(t, id), Plain: true}), id, m.URL)
		require.NoError(t, err)
		return refusal
	}
	for range 3 {
		require.Nil(t, ask("shop"))
	}
	for range 3 {
		err := ask("shop")
		require.ErrorIs(t, err, gcnode.ErrOverloaded)
		require.ErrorContains(t, err, "3 signed requests of clients are remembered")
	}
	for range 2 {
		require.Nil(t, ask("node"))
	}
	require.ErrorContains(t, ask("node"), "5 signed requests are remembered")
}

// TestSecretsAreReplacedWhileStreamsAreThere goes from one secret to another
// without a request that fails.
func TestSecretsAreReplacedWhileStreamsAreThere(t *testing.T) {
	for way, opts := range ways() {
		ours, theirs := secrets(t, "old"), secrets(t, "old")
		m, _ := guarded(t, httptransport.HandlerOptions{Secrets: ours})
		opts.Secrets = theirs
		client := newClient(t, opts)
		served := func() {
			_, err := fetchFrom(t, client, "a", m.URL, "k")
			require.NoError(t, err, way)
		}
		served()
		require.NoError(t, ours.Set(secretList("old", "new")...))
		served()
		require.NoError(t, theirs.Set(secretList("new", "old")...))
		served()
		require.NoError(t, ours.Set(secretList("new")...))
		served()
		require.NoError(t, theirs.Set(secretList("old")...))
		_, err := fetchFrom(t, client, "a", m.URL, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		require.ErrorContains(t, err, "there is no secret with the id")
	}
}

// TestAStreamEndsWithItsSecret has a client that goes on with a secret that is
// not valid any more.
func TestAStreamEndsWithItsSecret(t *testing.T) {
	ours := secrets(t, "old")
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: ours})
	client := newClient(t, httptransport.ClientOptions{Secrets: secrets(t, "old")})
	_, err := fetchFrom(t, client, "a", m.URL, "k")
	require.NoError(t, err)
	// The ID alone does not make it the same secret.
	require.NoError(t, ours.Set(httptransport.Secret{ID: "old", Secret: secretOf("another")}))
	_, err = fetchFrom(t, client, "a", m.URL, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "is another one here")
	require.EqualValues(t, 1, served.Load())
	require.EqualValues(t, 1, m.handler.Stats().Signatures.Outdated)
}

func TestSecretsThatCannotBeUsedAreRefused(t *testing.T) {
	ours := secrets(t, "k")
	for says, list := range map[string][]httptransport.Secret{
		"there is none": nil,
		`the secret "k" has 31 bytes; at least 32 are needed`: {{ID: "k", Secret: strings.Repeat("x", 31)}},
		`the id of a secret, "a b", must be`:                  {{ID: "a b", Secret: secretOf("k")}},
		`the id of a secret, "", must be`:                     {{Secret: secretOf("k")}},
		`the id "k" is there twice`:                           secretList("k", "k"),
	} {
		err := ours.Set(list...)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "xxx")
		_, err = httptransport.NewSecrets(list...)
		require.ErrorContains(t, err, says)
	}
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: ours})
	_, err := fetchFrom(t, newClient(t, httptransport.ClientOptions{Secrets: ours}), "a", m.URL, "k")
	require.NoError(t, err, "a list that is refused changes nothing")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", secretList("k"), secretList("k"), secretList("k")), secretOf("k"))
	_, err = fetchFrom(t, newClient(t, httptransport.ClientOptions{Secrets: &httptransport.Secrets{}}), "a", m.URL, "k")
	require.ErrorContains(t, err, "there is no secret to sign with")
	_, err = fetchFrom(t, newClient(t, httptransport.ClientOptions{Secrets: ours}), "", m.URL, "k")
	require.ErrorContains(t, err, "a peer without an ID cannot be signed")
}

// TestAnAnswerWithoutASignatureIsNone has peers that cannot sign: one that never
// does, and one that says that the request is too large, which a peer may say.
func TestAnAnswerWithoutASignatureIsNone(t *testing.T) {
	shared := secrets(t, "k")
	open := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	large := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	for way, opts := range ways() {
		opts.Secrets = shared
		for addr, says := range map[string]string{
			open.URL: "the answer is not signed by the peer",
			large:    `the answer is 413 Request Entity Too Large: "too large" (the answer is not signed`,
		} {
			got, err := fetchFrom(t, newClient(t, opts), "a", addr, "k")
			require.ErrorIs(t, err, gcnode.ErrUnreachable, way)
			require.ErrorContains(t, err, says, way)
			require.Empty(t, got)
		}
	}
}

// TestSignedRequestsGoOverHTTP2 has paths and queries in another place.
func TestSignedRequestsGoOverHTTP2(t *testing.T) {
	shared := secrets(t, "k")
	var protocol atomic.Int32
	handler := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{Self: "ä b/ü", Secrets: shared})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(int32(r.ProtoMajor))
		handler.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newClient(t, httptransport.ClientOptions{HTTPClient: server.Client(), Secrets: shared})
	got, err := fetchFrom(t, client, "ä b/ü", server.URL+"/a%2Fb/ä?c=%20d&e", "k")
	require.NoError(t, err)
	require.Equal(t, "k", got[0].Value.String())
	require.EqualValues(t, 2, protocol.Load())
}

// TestASignedRequestIsSignedAnewWhenItIsSentAgain has a member that closes a
// connection that was kept, with the request that came over it: after it was
// served, or before it was read.
func TestASignedRequestIsSignedAnewWhenItIsSentAgain(t *testing.T) {
	for name, serves := range map[string]bool{"served": true, "not read": false} {
		t.Run(name, func(t *testing.T) {
			shared := secrets(t, "k")
			handler := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{Self: "a", Secrets: shared})
			var mu sync.Mutex
			var conns []string // over which the requests came
			addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				kept := slices.Contains(conns, r.RemoteAddr)
				conns = append(conns, r.RemoteAddr)
				mu.Unlock()
				if !kept {
					handler.ServeHTTP(w, r)
					return
				}
				if serves {
					handler.ServeHTTP(httptest.NewRecorder(), r)
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if assert.NoError(t, err) {
					_ = conn.Close()
				}
			})
			client := newClient(t, httptransport.ClientOptions{Secrets: shared, Plain: true})
			value := gcnode.StringValue(strings.Repeat("v", 1<<20))
			for range 3 { // each but the first one over the connection of the one before, at first
				for _, req := range []*gcnode.Request{
					{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}},
					{Op: gcnode.OpSet, Group: "g", Keys: []string{"k"}, Value: value},
				} {
					var got collect
					require.NoError(t, client.RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: addr}, req, &got))
					require.Len(t, got.replies, 1)
				}
			}
			require.Zero(t, handler.Stats().Signatures)
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, conns, 6+5, "each but the first one is sent twice")
		})
	}
}

// TestASignedRequestIsNotSentAgainForEver has a member that gives up each request
// on a connection that stays.
func TestASignedRequestIsNotSentAgainForEver(t *testing.T) {
	var came atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if came.Add(1) <= 100 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, "enough", http.StatusTeapot)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newClient(t, httptransport.ClientOptions{HTTPClient: server.Client(), Secrets: secrets(t, "k"), Plain: true})
	for range 2 { // the second one over a connection that was used before
		_, err := fetchFrom(t, client, "a", server.URL, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
	}
	require.Less(t, came.Load(), int32(10))
}

// TestARefusalIsSigned has a request that is over a limit of the receiver.
func TestARefusalIsSigned(t *testing.T) {
	shared := secrets(t, "k")
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: shared})
	c := newClaim(t, http.MethodPost)
	c.body = string([]byte{0xff, 0xff, 0xff, 0x7f})
	authorization, _ := c.sign()
	status, text, header := exchanged(t, c.request(t, m, authorization))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.NotEmpty(t, header.Get("Authentication-Info"))
	require.Contains(t, text, "the body is no request")
	require.NotEqual(t, 't', rune(text[0]), "it is sealed")
}
