package httptransport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// signatureScheme is that of the header field Authorization, and infoHeader is
// the field by which the answer is signed.
const (
	signatureScheme = "Gcnode-HMAC-SHA256"
	infoHeader      = "Authentication-Info"
)

// What is signed begins with a line that says what it is, so that nothing can
// stand for something else.
const (
	purposeRequest   = "gcnode.peer.v1 request"
	purposeAnswer    = "gcnode.peer.v1 answer"
	purposeAsking    = "gcnode.peer.v1 asking"    // the key of what the asking member sends
	purposeAnswering = "gcnode.peer.v1 answering" // and of what the answering one does
)

// signature is a signed request's header field, as its text has it.
type signature struct {
	key    string // ID of the secret
	time   string // milliseconds since 1970
	nonce  string
	node   string // that is meant, percent-encoded
	digest string // of the body
	mac    string
}

// sum is what mac should be.
func (s *signature) sum(with *secret, method, target string) []byte {
	return with.mac(purposeRequest, s.key, s.time, s.nonce, s.node, method, target, s.digest)
}

// String is the header field.
func (s *signature) String() string {
	return signatureScheme + ` key="` + s.key + `", time="` + s.time + `", nonce="` + s.nonce +
		`", node="` + s.node + `", digest="` + s.digest + `", mac="` + s.mac + `"`
}

// isSigned reports whether the header field is meant to be one of a signed request.
func isSigned(header string) bool {
	scheme, _, _ := strings.Cut(header, " ")
	return strings.EqualFold(scheme, signatureScheme)
}

// parseSignature reads the header field; ok is false if it is none of a signed
// request.
func parseSignature(header string) (s signature, ok bool) {
	if !isSigned(header) {
		return signature{}, false
	}
	_, rest, _ := strings.Cut(header, " ")
	ok = parameters(rest, map[string]*string{
		"key": &s.key, "time": &s.time, "nonce": &s.nonce, "node": &s.node, "digest": &s.digest, "mac": &s.mac,
	})
	return s, ok
}

// parameters reads name="value" parts that are parted by commas. Each of those
// that are wanted has to be there once; others are left alone.
func parameters(text string, want map[string]*string) bool {
	found := 0
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		dst := want[name]
		if dst == nil {
			continue
		}
		if !ok || *dst != "" || len(value) < 3 || value[0] != '"' || value[len(value)-1] != '"' {
			return false
		}
		*dst = value[1 : len(value)-1]
		found++
	}
	return found == len(want)
}

// newNonce is 16 bytes that nobody can guess.
func newNonce() string {
	var b nonce
	_, _ = rand.Read(b[:]) // it never fails
	return encode(b[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode is false unless text is of so many bytes.
func decode(text string, dst []byte) bool {
	if base64.RawURLEncoding.DecodedLen(len(text)) != len(dst) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(dst, []byte(text))
	return err == nil && n == len(dst)
}

// isMAC compares in a time that says nothing of the sum.
func isMAC(text string, sum []byte) bool { return hmac.Equal([]byte(text), []byte(encode(sum))) }

// digestOf is the digest of a body as it travels.
func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return encode(sum[:])
}

// milliseconds is a time as it travels.
func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// signed is what both sides know of a request that was signed: the secret, and
// its signature, to which that of the answer is bound.
type signed struct {
	secret *secret
	mac    string
}

// sign signs a request to a member; nil without secrets.
func (c *Client) sign(r *http.Request, node string, body []byte) (*signed, error) {
	if c.secrets == nil {
		return nil, nil //nolint:nilnil // there is nothing to sign with
	}
	if node == "" {
		return nil, errors.New("a request to a peer without an ID cannot be signed")
	}
	with := c.secrets.first()
	if with == nil {
		return nil, errors.New("there is no secret to sign with")
	}
	s := signature{
		key: with.id, time: milliseconds(c.now()), nonce: newNonce(), node: url.PathEscape(node), digest: digestOf(body),
	}
	s.mac = encode(s.sum(with, r.Method, r.URL.RequestURI()))
	r.Header.Set("Authorization", s.String())
	return &signed{with, s.mac}, nil
}

// proof signs the head of an answer.
func (s *signed) proof(nonce string, status int) []byte {
	return s.secret.mac(purposeAnswer, s.mac, nonce, strconv.Itoa(status))
}

// key is that of what one side sends.
func (s *signed) key(purpose, nonce string) []byte { return s.secret.mac(purpose, s.mac, nonce) }

// errUnsigned is what is wrong with an answer of somebody without the secret.
var errUnsigned = errors.New("the answer is not signed by the peer, as that of one with the same secret is")

// check is the nonce of an answer, whose head the peer has signed.
func (s *signed) check(resp *http.Response) (nonce string, _ error) {
	var mac string
	if !parameters(resp.Header.Get(infoHeader), map[string]*string{"nonce": &nonce, "mac": &mac}) ||
		!isMAC(mac, s.proof(nonce, resp.StatusCode)) {
		return "", errUnsigned
	}
	return nonce, nil
}

// open lets the body of an answer be read as it was before it was sealed. It
// fails, and leaves the body alone, if that is not signed.
func (s *signed) open(resp *http.Response) error {
	if s == nil {
		return nil
	}
	nonce, err := s.check(resp)
	if err != nil {
		return err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{newOpener(resp.Body, s.key(purposeAnswering, nonce), plainAhead), resp.Body}
	return nil
}

// unsigned is what is wrong with an answer that is not signed. Of one that refuses
// the request it has the reason, which may be that of anybody.
func unsigned(resp *http.Response, err error) error {
	if resp.StatusCode == http.StatusOK {
		return err
	}
	return fmt.Errorf("the answer is %s: %q (%w)", resp.Status, problemText(resp), err)
}

// stream is a connection that carries records after an Upgrade, beneath what it
// carries without signatures.
func (s *signed) stream(resp *http.Response, conn io.ReadWriteCloser) (io.ReadWriteCloser, error) {
	if s == nil {
		return conn, nil
	}
	nonce, err := s.check(resp)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Writer
		io.Closer
	}{newOpener(conn, s.key(purposeAnswering, nonce), streamAhead), newSealer(conn, s.key(purposeAsking, nonce)), conn}, nil
}

// seal signs the head of an answer in its header, and returns what seals its
// body on the way to w.
func (s *signed) seal(header http.Header, status int, w io.Writer) io.Writer {
	if s == nil {
		return w
	}
	nonce := s.accept(header.Set, status)
	return newSealer(w, s.key(purposeAnswering, nonce))
}

// accept signs the head of an answer with a header field, and returns the nonce
// of the answer.
func (s *signed) accept(set func(name, value string), status int) (nonce string) {
	nonce = newNonce()
	set(infoHeader, `nonce="`+nonce+`", mac="`+encode(s.proof(nonce, status))+`"`)
	return nonce
}

// challenge is the header field that says what a request has to be signed for.
func challenge(self string) string {
	return fmt.Sprintf(`%s node="%s"`, signatureScheme, url.PathEscape(self))
}

// signsWith reports whether what was signed was so with the secret that signs now,
// or what was not need not be.
func (c *Client) signsWith(s *signed) bool {
	if s == nil {
		return c.secrets == nil || c.secrets.unsigned.Load()
	}
	return s.secret == c.secrets.first()
}

// answered is what the answer to a signed request has to be signed with: nothing
// if it is not signed, and that is accepted.
func (p *peer) answered(s *signed, resp *http.Response) *signed {
	if s == nil {
		return nil
	}
	unsigned := resp.Header.Get(infoHeader) == "" && p.client.secrets.unsigned.Load()
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
		p.unsigned.Store(unsigned)
	}
	if unsigned {
		return nil
	}
	return s
}
