package wasm

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	dialTimeout            = 30 * time.Second
	handshakeTimeout       = 10 * time.Second
	idleConnectionTimeout  = 90 * time.Second
	maxTransportHeadBytes  = 1 << 20
	localhost              = "localhost"
	sharedPrefix           = "100.64.0.0/10"
	thisNetworkPrefix      = "0.0.0.0/8"
	protocolPrefix         = "192.0.0.0/24"
	benchmarkPrefix        = "198.18.0.0/15"
	reservedPrefix         = "240.0.0.0/4"
	translatedPrefix       = "64:ff9b::/96"
	localTranslatedPrefix  = "64:ff9b:1::/48"
	statelessPrefix        = "::ffff:0:0:0/96"
	compatiblePrefix       = "::/96"
	relayedPrefix          = "2002::/16"
	teredoPrefix           = "2001::/32"
	uniqueLocalSitesPrefix = "fec0::/10"
)

// addressGuard decides which addresses an allowed name may resolve to. It
// looks at the address of the very connection that is being made, so a name
// that resolves differently the second time gains nothing.
type addressGuard struct {
	refused []netip.Prefix
}

func newAddressGuard() (*addressGuard, error) {
	g := &addressGuard{}
	for _, s := range []string{
		thisNetworkPrefix, sharedPrefix, protocolPrefix, benchmarkPrefix, reservedPrefix,
		translatedPrefix, localTranslatedPrefix, statelessPrefix, compatiblePrefix, relayedPrefix, teredoPrefix, uniqueLocalSitesPrefix,
	} {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		g.refused = append(g.refused, p)
	}
	return g, nil
}

// public reports whether ip is an ordinary address of the internet. Addresses
// that carry another one inside are refused with it.
func (g *addressGuard) public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range g.refused {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// check is the decision about a connection to ip for the name host.
func (g *addressGuard) check(host string, ip netip.Addr) error {
	switch {
	case g.public(ip):
		return nil
	case host == localhost && ip.Unmap().IsLoopback():
		return nil
	default:
		return fmt.Errorf("%w: %s does not resolve to a public address: allow the address itself as an origin (AllowFetch, allow_fetch in a node's configuration) "+
			"or private addresses for all origins (AllowPrivate, allow_private)",
			errFetchDenied, printable(host, maxNameShown))
	}
}

// dial connects to an address that is on the allow-list.
func (g *addressGuard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	if _, err := netip.ParseAddr(host); err != nil { // a name; listing an address grants it
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return err
			}
			return g.check(host, at.Addr())
		}
	}
	return d.DialContext(ctx, network, address)
}

// newTransport is the transport of plugins that are not given one. It uses no
// proxy: that would move the decision about addresses to another host.
func newTransport(opts *Options) (*http.Transport, error) {
	t := &http.Transport{
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleConnectionTimeout,
		MaxIdleConnsPerHost:    max(opts.Instances, opts.Pending),
		MaxResponseHeaderBytes: maxTransportHeadBytes,
	}
	if opts.AllowPrivate {
		d := net.Dialer{Timeout: dialTimeout}
		t.DialContext = d.DialContext
		return t, nil
	}
	guard, err := newAddressGuard()
	if err != nil {
		return nil, err
	}
	t.DialContext = guard.dial
	return t, nil
}
