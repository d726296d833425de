package groupcache

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A mailgunPeer is a process on mailgun/groupcache v2, as its protocol describes
// it: written from that description alone, and with nothing of what is tested.
type mailgunPeer struct {
	self   string
	load   func(key string) (value string, expire time.Time, err error)
	groups map[string]bool // that it answers for

	mu    sync.Mutex
	peers []string
	main  map[string]oldEntry // by group and key
	hot   map[string]oldEntry
}

type oldEntry struct {
	value  string
	expire time.Time
}

func (e oldEntry) ended() bool { return !e.expire.IsZero() && !time.Now().Before(e.expire) }

var (
	errOldNotFound = errors.New("old: not found")
	errOldRemote   = errors.New("old: remote failure")
)

func newMailgunPeer(self string, load func(string) (string, time.Time, error), groups ...string) *mailgunPeer {
	p := &mailgunPeer{self: self, load: load, groups: map[string]bool{}, main: map[string]oldEntry{}, hot: map[string]oldEntry{}}
	for _, g := range groups {
		p.groups[g] = true
	}
	return p
}

func (p *mailgunPeer) setPeers(urls ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = urls
}

// owner is the peer with the first point not below the key's, looked for one by
// one.
func (p *mailgunPeer) owner(key string) string {
	place := func(s string) int64 {
		h := fnv.New64()
		_, _ = io.WriteString(h, s)
		return int64(h.Sum64())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place(key)
	next, first := int64(math.MaxInt64), int64(math.MaxInt64)
	var nextOwner, firstOwner string
	for _, peer := range p.peers {
		for i := range 50 {
			point := place(fmt.Sprintf("%x", md5.Sum(fmt.Appendf(nil, "%d%s", i, peer))))
			if point >= at && point <= next {
				next, nextOwner = point, peer
			}
			if point <= first {
				first, firstOwner = point, peer
			}
		}
	}
	if nextOwner == "" {
		return firstOwner
	}
	return nextOwner
}

func (p *mailgunPeer) find(id string) (oldEntry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range []map[string]oldEntry{p.main, p.hot} {
		if e, ok := part[id]; ok && !e.ended() {
			return e, true
		}
	}
	return oldEntry{}, false
}

func (p *mailgunPeer) keep(part map[string]oldEntry, id string, e oldEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part[id] = e
}

func (p *mailgunPeer) drop(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.main, id)
	delete(p.hot, id)
}

func (p *mailgunPeer) get(ctx context.Context, group, key string) (oldEntry, error) {
	id := group + "\x00" + key
	if e, ok := p.find(id); ok {
		return e, nil
	}
	if owner := p.owner(key); owner != p.self && owner != "" {
		e, err := p.fetch(ctx, owner, group, key)
		switch {
		case err == nil:
			p.keep(p.hot, id, e)
			return e, nil
		case errors.Is(err, errOldNotFound), errors.Is(err, errOldRemote):
			return oldEntry{}, err
		}
	}
	value, expire, err := p.load(key)
	if err != nil {
		return oldEntry{}, err
	}
	e := oldEntry{value, expire}
	p.keep(p.main, id, e)
	return e, nil
}

func (p *mailgunPeer) set(ctx context.Context, group, key, value string, expire time.Time) error {
	if owner := p.owner(key); owner != p.self && owner != "" {
		body := oldString(nil, 1, group)
		body = oldString(body, 2, key)
		body = oldString(body, 3, value)
		body = oldTime(body, 4, expire)
		return p.write(ctx, http.MethodPut, owner, group, key, body)
	}
	p.keep(p.main, group+"\x00"+key, oldEntry{value, expire})
	return nil
}

func (p *mailgunPeer) remove(ctx context.Context, group, key string) error {
	owner := p.owner(key)
	if owner != p.self {
		if err := p.write(ctx, http.MethodDelete, owner, group, key, nil); err != nil {
			return err
		}
	}
	p.drop(group + "\x00" + key)
	p.mu.Lock()
	peers := p.peers
	p.mu.Unlock()
	var errs []error
	for _, peer := range peers {
		if peer != owner && peer != p.self {
			errs = append(errs, p.write(ctx, http.MethodDelete, peer, group, key, nil))
		}
	}
	return errors.Join(errs...)
}

func (p *mailgunPeer) send(ctx context.Context, method, peer, group, key string, body []byte) (status int, kind, text string, err error) {
	at := peer + "/_groupcache/" + url.PathEscape(group) + "/" + url.PathEscape(key)
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	req.Header["Idempotency-Key"] = nil // a peer that was replaced has left connections behind
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header.Get("Content-Type"), string(got), err
}

func (p *mailgunPeer) write(ctx context.Context, method, peer, group, key string, body []byte) error {
	status, _, text, err := p.send(ctx, method, peer, group, key, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK || text != "" {
		return fmt.Errorf("%s of %q at %s: %d %s", method, key, peer, status, text)
	}
	return nil
}

func (p *mailgunPeer) fetch(ctx context.Context, peer, group, key string) (oldEntry, error) {
	status, kind, text, err := p.send(ctx, http.MethodGet, peer, group, key, nil)
	switch {
	case err != nil:
		return oldEntry{}, err
	case status == http.StatusNotFound:
		return oldEntry{}, fmt.Errorf("%w: %s", errOldNotFound, strings.Trim(text, "\n"))
	case status == http.StatusServiceUnavailable:
		return oldEntry{}, fmt.Errorf("%w: %s", errOldRemote, strings.Trim(text, "\n"))
	case status != http.StatusOK:
		return oldEntry{}, fmt.Errorf("status %d: %s", status, text)
	case kind != "application/x-protobuf":
		return oldEntry{}, fmt.Errorf("content type %q", kind)
	}
	var e oldEntry
	err = oldFields([]byte(text), func(field int, number uint64, data []byte) {
		switch {
		case field == 1:
			e.value = string(data)
		case field == 3 && number != 0:
			e.expire = time.Unix(0, int64(number))
		}
	})
	if err == nil && e.ended() {
		err = errors.New("the value has expired")
	}
	return e, err
}

// ServeHTTP answers peers.
func (p *mailgunPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	group, key, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/_groupcache/"), "/")
	if !ok {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	if !p.groups[group] {
		http.Error(w, "no such group: "+group, http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodDelete:
		p.drop(group + "\x00" + key)
	case http.MethodPut:
		p.serveSet(w, r, group)
	default:
		e, err := p.get(r.Context(), group, key)
		if errors.Is(err, errOldNotFound) {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		body := oldString(nil, 1, e.value)
		body = append(body, 2<<3|1)
		body = binary.LittleEndian.AppendUint64(body, math.Float64bits(12.5)) // minute_qps
		body = oldTime(body, 3, e.expire)
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
	}
}

func (p *mailgunPeer) serveSet(w http.ResponseWriter, r *http.Request, group string) {
	body, err := io.ReadAll(r.Body)
	var key string
	var e oldEntry
	if err == nil {
		err = oldFields(body, func(field int, number uint64, data []byte) {
			switch {
			case field == 2:
				key = string(data)
			case field == 3:
				e.value = string(data)
			case field == 4 && number != 0:
				e.expire = time.Unix(0, int64(number))
			}
		})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.keep(p.main, group+"\x00"+key, e)
}

func oldString(dst []byte, field int, s string) []byte {
	dst = append(dst, byte(field<<3|2))
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func oldTime(dst []byte, field int, t time.Time) []byte {
	var at uint64
	if !t.IsZero() {
		at = uint64(t.UnixNano())
	}
	return binary.AppendUvarint(append(dst, byte(field<<3)), at)
}

// oldFields reads a message field by field.
func oldFields(b []byte, yield func(field int, number uint64, data []byte)) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return io.ErrUnexpectedEOF
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return io.ErrUnexpectedEOF
			}
			yield(int(tag>>3), v, nil)
			b = b[n:]
		case 1:
			if len(b) < 8 {
				return io.ErrUnexpectedEOF
			}
			b = b[8:]
		case 2:
			l, n := binary.Uvarint(b)
			if n <= 0 || l > uint64(len(b)-n) {
				return io.ErrUnexpectedEOF
			}
			yield(int(tag>>3), 0, b[n:][:l])
			b = b[n+int(l):]
		default:
			return fmt.Errorf("wire type %d", tag&7)
		}
	}
	return nil
}
