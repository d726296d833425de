package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// DefaultDNSRefresh is the default of [DNSOptions.Refresh].
	DefaultDNSRefresh = 10 * time.Second
	// DefaultDNSTimeout is the default of [DNSOptions.Timeout].
	DefaultDNSTimeout = 5 * time.Second
	// firstRetry is the pause after the first of several errors; it doubles
	// with each.
	firstRetry = time.Second
	// jitter is by which part of it a pause is longer or shorter, so that the
	// nodes of a cluster do not ask all at once.
	jitter = 0.2
)

// Records are what is looked up under a name.
type Records int

// The records that name members.
const (
	// A are the IPv4 addresses of the members, which listen on one port.
	A Records = iota
	// AAAA are their IPv6 addresses. A member that has both an IPv4 and an
	// IPv6 address would be two members, so one kind has to be chosen.
	AAAA
	// SRV are names and ports of the members. Their weights are the weights of
	// the members, divided by what they have in common, so that a server that
	// gives 33 to each of three and 25 to each of four changes nothing; 0
	// counts as 1. Their priorities mean nothing: all are members.
	SRV
)

// String is the type of the records.
func (r Records) String() string {
	switch r {
	case A:
		return "A"
	case AAAA:
		return "AAAA"
	case SRV:
		return "SRV"
	default:
		return fmt.Sprintf("Records(%d)", int(r))
	}
}

// DNSOptions describe a name whose records are the members.
type DNSOptions struct {
	// Name is the name. End it with a dot, or the search domains of the system
	// are tried, too.
	Name    string
	Records Records
	// Port is where the members listen, with A and AAAA.
	Port uint16
	// Refresh is the time between two questions, by up to a fifth longer or
	// shorter; after an error they come earlier. Go's resolver does not tell
	// for how long an answer holds. 0 is [DefaultDNSRefresh].
	Refresh time.Duration
	// Timeout is how long an answer is waited for. 0 is [DefaultDNSTimeout].
	Timeout time.Duration
	// Address makes the address of a member of its host and port. nil:
	// "http://" + hostport + "/".
	Address func(hostport string) string
	// Server is the DNS server that is asked (host:port). Empty: those of the
	// system.
	Server string
	// Resolver is asked instead of a server. nil: Go's own resolver, which
	// knows the DNS and the hosts file, and no other services of the system.
	// One that does not return when its context ends delays the end of Watch.
	Resolver Resolver
}

// DNS is a [Source]: a name that is looked up at intervals.
//
// The ID of a member is what the records say of it: the address and the port
// with A and AAAA ("10.0.0.5:7001", "[fd00::5]:7001"), the target and the port
// with SRV ("cache-0.peers.example.com:7001": lower case, without the dot at
// the end). So all nodes call it the same, and a node knows its own ID if it
// knows its address, or the name that it has in the DNS. A member whose address
// changes keeps its ID, and with it its keys, with SRV alone.
//
// The answer has to be the whole list: a server that gives some of many
// addresses is of no use here.
type DNS struct {
	opts DNSOptions
}

// NewDNS makes a source of a name.
func NewDNS(opts DNSOptions) (*DNS, error) {
	var errs []error
	if opts.Name == "" {
		errs = append(errs, errors.New("there is no name to look up"))
	}
	switch opts.Records {
	case A, AAAA:
		if opts.Port == 0 {
			errs = append(errs, fmt.Errorf("%v records say no port; set Port to the one that the members listen on", opts.Records))
		}
	case SRV:
		if opts.Port != 0 {
			errs = append(errs, errors.New("SRV records say the ports; leave Port 0"))
		}
	default:
		errs = append(errs, fmt.Errorf("there are no %v; choose A, AAAA or SRV", opts.Records))
	}
	if opts.Server != "" && opts.Resolver != nil {
		errs = append(errs, errors.New("set Server or Resolver, and not both"))
	}
	if opts.Refresh < 0 || opts.Timeout < 0 {
		errs = append(errs, fmt.Errorf("the options Refresh, %v, and Timeout, %v, cannot be negative", opts.Refresh, opts.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if opts.Refresh == 0 {
		opts.Refresh = DefaultDNSRefresh
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultDNSTimeout
	}
	if opts.Address == nil {
		opts.Address = func(hostport string) string { return "http://" + hostport + "/" }
	}
	if opts.Resolver == nil {
		opts.Resolver = newResolver(opts.Server)
	}
	return &DNS{opts: opts}, nil
}

// String implements [Source].
func (d *DNS) String() string { return "dns " + d.opts.Records.String() + " " + d.opts.Name }

// Watch implements [Source].
func (d *DNS) Watch(ctx context.Context, report func([]gcnode.Peer, error)) {
	retry := firstRetry
	for {
		peers, err := d.Lookup(ctx)
		if ctx.Err() != nil {
			return // that is why
		}
		report(peers, err)
		pause := d.opts.Refresh
		if err != nil {
			pause = min(retry, pause)
			retry = min(2*retry, d.opts.Refresh)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(jittered(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// jittered makes a pause longer or shorter.
func jittered(pause time.Duration) time.Duration {
	return pause + time.Duration((2*rand.Float64()-1)*jitter*float64(pause))
}

// Lookup asks once. The error names what was asked.
func (d *DNS) Lookup(ctx context.Context) ([]gcnode.Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	var peers []gcnode.Peer
	var err error
	if d.opts.Records == SRV {
		peers, err = d.targets(ctx)
	} else {
		peers, err = d.addresses(ctx)
	}
	switch {
	case err != nil:
		err = d.explain(ctx, err)
	case len(peers) == 0:
		err = ErrEmpty
	}
	if err != nil {
		return nil, fmt.Errorf("look up %v records of %q: %w", d.opts.Records, d.opts.Name, err)
	}
	return peers, nil
}

// explain makes one error of the many ways in which a resolver says the same.
func (d *DNS) explain(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ctx.Err() != nil || ok && refused.IsTimeout:
		return fmt.Errorf("no answer within %v: %w", d.opts.Timeout, err)
	case ok && refused.IsNotFound:
		return fmt.Errorf("%w: the name does not exist or has no such records: %w", ErrEmpty, err)
	default:
		return err
	}
}

// addresses are the members by their addresses.
func (d *DNS) addresses(ctx context.Context) ([]gcnode.Peer, error) {
	network := "ip4"
	if d.opts.Records == AAAA {
		network = "ip6"
	}
	addrs, err := d.opts.Resolver.LookupNetIP(ctx, network, d.opts.Name)
	if err != nil {
		return nil, err
	}
	peers := make([]gcnode.Peer, 0, len(addrs))
	seen := map[netip.Addr]bool{}
	for _, addr := range addrs {
		addr = addr.Unmap()
		if !seen[addr] {
			seen[addr] = true
			peers = append(peers, d.peer(netip.AddrPortFrom(addr, d.opts.Port).String(), 1))
		}
	}
	return peers, nil
}

// targets are the members by their names and ports.
func (d *DNS) targets(ctx context.Context) ([]gcnode.Peer, error) {
	_, records, err := d.opts.Resolver.LookupSRV(ctx, "", "", d.opts.Name)
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, func(r *net.SRV) bool { return r.Target == "." }) // the service is not offered
	var common uint16
	for _, r := range records {
		common = divisor(max(r.Weight, 1), common)
	}
	peers := make([]gcnode.Peer, 0, len(records))
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		peers = append(peers, d.peer(net.JoinHostPort(host, strconv.Itoa(int(r.Port))), max(r.Weight, 1)/common))
	}
	return peers, nil
}

// divisor is the greatest common divisor.
func divisor(a, b uint16) uint16 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// peer is the member at a host and port.
func (d *DNS) peer(hostport string, weight uint16) gcnode.Peer {
	return gcnode.Peer{ID: hostport, Addr: d.opts.Address(hostport), Weight: weight}
}
