package httptransport

import (
	"context"
	"crypto/tls"
	"net"
)

// dialTLS connects to addresses with https; nil leaves that to net/http.
func dialTLS(opts ClientOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if opts.TLS == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, opts.DialTimeout)
		defer cancel()
		return (&tls.Dialer{Config: opts.TLS(host)}).DialContext(ctx, network, addr)
	}
}
