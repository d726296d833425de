package legacy

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// defaultTransport is [http.DefaultTransport] as it is when a peer is first
// asked, with connections enough for one. Who has replaced it by something else
// has meant that.
type defaultTransport struct {
	once sync.Once
	own  *http.Transport // nil: it is something else, or was not needed
	use  http.RoundTripper
}

func (d *defaultTransport) get() http.RoundTripper {
	d.once.Do(func() {
		d.use = http.DefaultTransport
		if t, ok := d.use.(*http.Transport); ok {
			d.own = forPeers(t)
			d.use = d.own
		}
	})
	return d.use
}

// close closes the connections that are not in use.
func (d *defaultTransport) close() {
	d.get()
	if d.own != nil {
		d.own.CloseIdleConnections()
	}
}

// forPeers is a transport with the same settings and other limits.
func forPeers(t *http.Transport) *http.Transport {
	t = t.Clone()
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, network, addr)
	}
	t.TLSHandshakeTimeout = dialTimeout
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, maxIdlePerPeer
	t.IdleConnTimeout = idleTimeout
	t.MaxResponseHeaderBytes = 64 << 10
	t.DisableCompression = true
	return t
}
