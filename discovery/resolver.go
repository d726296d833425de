package discovery

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Resolver asks the DNS. A [*net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// newResolver asks a server (host:port), or those of the system if it is empty.
//
// Go's resolver notices the end of a context only between its questions, and
// waits for the answer to one for 5 s. So the end of the context, which is that
// of the one question, also ends the reading from the connection.
func newResolver(server string) *net.Resolver {
	var dialer net.Dialer
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if server != "" {
			address = server
		}
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it may be closed by now
		}
		return conn, err
	}}
}
