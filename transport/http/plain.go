package httptransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// maxProblemBytes is how much an error shows of what a server says that does
	// not answer as a peer.
	maxProblemBytes = 256
	// maxRepeats is how often a signed request is sent again.
	maxRepeats = 3
)

// ask sends a request without a stream, and hands the replies to w.
func (p *peer) ask(ctx context.Context, request []byte, req *gcnode.Request, w gcnode.ReplyWriter) error {
	switch {
	case mayShare(req) && p.bundler.takes(request):
		return p.bundler.exchange(ctx, request, req, w)
	case len(req.Keys) > 1 && !p.split.over():
		return p.askEach(ctx, req, w)
	}
	err := p.post(ctx, req, w)
	if answer, ok := errors.AsType[*statusError](err); ok && answer.status == http.StatusNotImplemented && len(req.Keys) > 1 {
		p.split.set(plainFor)
		return p.askEach(ctx, req, w)
	}
	return err
}

// post sends a request as a POST and hands the replies to w.
func (p *peer) post(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	p.posts.Add(1)
	var body bytes.Buffer
	if req.Value.Len() > wire.PieceBytes {
		body.Grow(req.Value.Len() + req.Value.Len()/1024) // with what goes before each piece
	}
	if err := wire.NewWriter(&body).WriteRequest(req); err != nil {
		return &requestError{err}
	}
	resp, signed, err := p.send(ctx, contentType, body.Bytes())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	signed = p.answered(signed, resp)
	if err := signed.open(resp); err != nil {
		return unsigned(resp, err)
	}
	return receive(resp, wire.NewAnswers(req), w)
}

// send sends a body. Every request may be repeated, and is when the peer has
// closed a connection that was kept. It is signed anew each time, since the peer
// may have read it; net/http, which does the same for what is not signed, sends
// it as it is. A peer may give up the request and keep the connection (HTTP/2), so
// there is an end to that.
func (p *peer) send(ctx context.Context, contentType string, body []byte) (*http.Response, *signed, error) {
	for repeats := 0; ; repeats++ {
		var kept atomic.Bool
		watched := ctx
		if p.client.secrets != nil {
			watched = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) { kept.Store(info.Reused) },
			})
		}
		post, err := http.NewRequestWithContext(watched, http.MethodPost, p.addr, bytes.NewReader(body))
		if err != nil {
			return nil, nil, fmt.Errorf("make the request: %w", err)
		}
		post.Header.Set("Content-Type", contentType)
		post.Header.Set("Accept", contentType)
		post.Header.Set("User-Agent", "gcnode")
		if len(body) > wire.PieceBytes { // nothing of it is sent to a peer that refuses the request
			post.Header.Set("Expect", "100-continue")
		}
		signed, err := p.client.sign(post, p.id, body)
		if err != nil {
			return nil, nil, err
		}
		if signed == nil {
			post.Header["Idempotency-Key"] = nil // net/http may repeat it; without a value it is not sent
		}
		resp, err := p.client.http.Do(post)
		switch {
		case err == nil && resp.StatusCode == http.StatusSwitchingProtocols:
			_ = resp.Body.Close() // which is the connection, that no context ends
			return nil, nil, fmt.Errorf("the answer is %s, which nobody has asked for", resp.Status)
		case err == nil:
			return resp, signed, nil
		case signed == nil || !kept.Load() || repeats == maxRepeats || ctx.Err() != nil || isTimeout(err):
			return nil, nil, withoutURL(err)
		}
	}
}

// isTimeout reports whether the time of the HTTP client was over.
func isTimeout(err error) bool {
	failed, ok := errors.AsType[net.Error](err)
	return ok && failed.Timeout()
}

// withoutURL leaves out of an error the address, which is named around it.
func withoutURL(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

// receive hands the replies in resp to w. It reads a complete answer to the
// end, so that the connection can be used again.
func receive(resp *http.Response, answers *wire.Answers, w gcnode.ReplyWriter) error {
	if err := checkResponse(resp); err != nil {
		return refused(err, answers, w)
	}
	frames := wire.NewReader(resp.Body)
	for {
		r, err := frames.ReadReply()
		if errors.Is(err, io.EOF) {
			return frames.ReadEOF()
		}
		if err != nil {
			return refused(err, answers, w)
		}
		if err := answers.Add(r); err != nil {
			return err
		}
		if err := w.WriteReply(r); err != nil {
			return &writerError{err}
		}
	}
}

// statusError is an answer that is none of a peer to a request.
type statusError struct {
	status int
	text   string
}

// Error implements the error interface.
func (e *statusError) Error() string { return e.text }

// problemText is the beginning of what a server says that does not answer as a peer.
func problemText(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	return strings.TrimSpace(string(text))
}

// checkResponse tells the answer of a peer from that of some other server.
func checkResponse(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		err := &statusError{resp.StatusCode, fmt.Sprintf("the answer is %s: %q", resp.Status, problemText(resp))}
		if resp.StatusCode == http.StatusRequestEntityTooLarge {
			return &wire.EndError{Refused: true, Cause: &gcnode.Error{Kind: gcnode.KindTooLarge, Err: err}}
		}
		return err
	}
	if mediaType(resp.Header) != contentType {
		return fmt.Errorf("the answer has the content type %q and not %s: is this the URL of a peer?",
			resp.Header.Get("Content-Type"), contentType)
	}
	return nil
}
