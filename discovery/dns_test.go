package discovery_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

// resolver answers what the test tells it to.
type resolver struct {
	mu    sync.Mutex
	addrs []netip.Addr
	srv   []*net.SRV
	err   error
	hangs bool
	asked []time.Time
	what  string // network or service, and name, of the last question
}

func (r *resolver) ask(ctx context.Context, what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.what = append(r.asked, time.Now()), what
	if r.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return r.err
}

func (r *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return r.addrs, r.ask(ctx, network+" "+host)
}

func (r *resolver) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return "", r.srv, r.ask(ctx, service+proto+" "+name)
}

// lookup asks once.
func lookup(t *testing.T, opts discovery.DNSOptions) ([]gcnode.Peer, error) {
	t.Helper()
	if opts.Name == "" {
		opts.Name = "peers.example."
	}
	d, err := discovery.NewDNS(opts)
	require.NoError(t, err)
	return d.Lookup(t.Context())
}

func addrs(list ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, a := range list {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}

func TestAddressesAreMembers(t *testing.T) {
	r := &resolver{addrs: addrs("10.0.0.6", "::ffff:10.0.0.5", "10.0.0.6")}
	got, err := lookup(t, discovery.DNSOptions{Port: 7001, Resolver: r})
	require.NoError(t, err)
	assert.ElementsMatch(t, []gcnode.Peer{
		{ID: "10.0.0.5:7001", Addr: "http://10.0.0.5:7001/", Weight: 1},
		{ID: "10.0.0.6:7001", Addr: "http://10.0.0.6:7001/", Weight: 1},
	}, got)
	assert.Equal(t, "ip4 peers.example.", r.what, "asking for both kinds would count a member twice")

	r = &resolver{addrs: addrs("fd00::5")}
	got, err = lookup(t, discovery.DNSOptions{
		Records: discovery.AAAA, Port: 80, Resolver: r, Address: func(hostport string) string { return "https://" + hostport },
	})
	require.NoError(t, err)
	assert.Equal(t, []gcnode.Peer{{ID: "[fd00::5]:80", Addr: "https://[fd00::5]:80", Weight: 1}}, got)
	assert.Equal(t, "ip6 peers.example.", r.what)
}

func TestTargetsAreMembers(t *testing.T) {
	r := &resolver{srv: []*net.SRV{
		{Target: "Cache-0.Peers.example.", Port: 7001, Weight: 20},
		{Target: "cache-1.peers.example.", Port: 7002, Weight: 30, Priority: 9},
		{Target: ".", Port: 1},
	}}
	got, err := lookup(t, discovery.DNSOptions{Records: discovery.SRV, Resolver: r, Name: "_peers._tcp.example."})
	require.NoError(t, err)
	assert.Equal(t, []gcnode.Peer{
		{ID: "cache-0.peers.example:7001", Addr: "http://cache-0.peers.example:7001/", Weight: 2},
		{ID: "cache-1.peers.example:7002", Addr: "http://cache-1.peers.example:7002/", Weight: 3},
	}, got)
	assert.Equal(t, " _peers._tcp.example.", r.what)
}

func TestWeightsAreDividedByWhatTheyHaveInCommon(t *testing.T) {
	for _, c := range []struct{ given, want []uint16 }{
		{[]uint16{33, 33, 33}, []uint16{1, 1, 1}},
		{[]uint16{25, 25, 25, 25}, []uint16{1, 1, 1, 1}},
		{[]uint16{0, 0}, []uint16{1, 1}},
		{[]uint16{0, 10}, []uint16{1, 10}},
		{[]uint16{10, 20, 40}, []uint16{1, 2, 4}},
		{[]uint16{65535, 65534}, []uint16{65535, 65534}},
		{[]uint16{65535}, []uint16{1}},
	} {
		r := &resolver{}
		for i, w := range c.given {
			r.srv = append(r.srv, &net.SRV{Target: "x.", Port: uint16(i), Weight: w})
		}
		got, err := lookup(t, discovery.DNSOptions{Records: discovery.SRV, Resolver: r})
		require.NoError(t, err)
		var weights []uint16
		for _, p := range got {
			weights = append(weights, p.Weight)
		}
		assert.Equal(t, c.want, weights)
	}
}

func TestAnswersWithoutMembersAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		resolver *resolver
		is       error
		says     string
	}{
		"no records":     {resolver: &resolver{}, is: discovery.ErrEmpty, says: `look up A records of "peers.example.": the list of members is empty`},
		"no such name":   {resolver: &resolver{err: &net.DNSError{Err: "no such host", IsNotFound: true}}, is: discovery.ErrEmpty, says: "the name does not exist or has no such records"},
		"a timeout":      {resolver: &resolver{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, says: "no answer within 5s"},
		"another error":  {resolver: &resolver{err: errors.New("server misbehaving")}, says: "server misbehaving"},
		"half an answer": {resolver: &resolver{err: errors.New("malformed"), addrs: addrs("10.0.0.5")}, says: "malformed"},
	} {
		_, err := lookup(t, discovery.DNSOptions{Port: 1, Resolver: c.resolver})
		require.ErrorContains(t, err, c.says, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
		} else {
			require.NotErrorIs(t, err, discovery.ErrEmpty, name)
		}
	}
	none := &resolver{srv: []*net.SRV{{Target: "."}}}
	_, err := lookup(t, discovery.DNSOptions{Records: discovery.SRV, Resolver: none})
	require.ErrorIs(t, err, discovery.ErrEmpty, "the service is not offered")
}

func TestAnAnswerThatDoesNotComeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := lookup(t, discovery.DNSOptions{Port: 1, Timeout: 3 * time.Second, Resolver: &resolver{hangs: true}})
		require.ErrorContains(t, err, "no answer within 3s")
		assert.Equal(t, 3*time.Second, time.Since(begun))
	})
}

// pauses follows a name for some time, and returns the pauses between the
// questions.
func pauses(t *testing.T, r *resolver, opts discovery.DNSOptions, during time.Duration) (list []time.Duration) {
	t.Helper()
	opts.Name, opts.Port, opts.Resolver = "peers.example.", 7001, r
	d, err := discovery.NewDNS(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	d.Watch(ctx, func([]gcnode.Peer, error) {})
	for i := range r.asked[1:] {
		list = append(list, r.asked[i+1].Sub(r.asked[i]))
	}
	return list
}

func TestQuestionsAreSpreadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := pauses(t, &resolver{addrs: addrs("10.0.0.5")}, discovery.DNSOptions{}, time.Hour)
		assert.InDelta(t, 360, len(list), 20)
		different := map[time.Duration]bool{}
		for _, p := range list {
			assert.GreaterOrEqual(t, p, 8*time.Second)
			assert.LessOrEqual(t, p, 12*time.Second)
			different[p] = true
		}
		assert.Greater(t, len(different), len(list)/2)
	})
}

func TestAfterErrorsQuestionsComeEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &resolver{err: errors.New("broken")}
		list := pauses(t, r, discovery.DNSOptions{Refresh: 10 * time.Second}, time.Minute)
		require.Greater(t, len(list), 6)
		for i, about := range []float64{1, 2, 4, 8, 10, 10} {
			assert.InDelta(t, about, list[i].Seconds(), about/5, "pause %d", i)
		}
		r = &resolver{err: errors.New("broken")}
		for _, p := range pauses(t, r, discovery.DNSOptions{Refresh: time.Second / 2}, time.Minute) {
			assert.LessOrEqual(t, p, 600*time.Millisecond, "no later than without errors")
		}
	})
}

func TestWatchingEndsWithAQuestionUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := discovery.NewDNS(discovery.DNSOptions{Name: "x", Port: 1, Resolver: &resolver{hangs: true}, Timeout: time.Hour})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d.Watch(ctx, func([]gcnode.Peer, error) { assert.Fail(t, "the end is no error of the source") })
		require.Error(t, ctx.Err())
	})
}

func TestWrongDNSOptionsAreRefusedTogether(t *testing.T) {
	for _, c := range []struct {
		opts discovery.DNSOptions
		says []string
	}{
		{discovery.DNSOptions{Refresh: -1}, []string{"there is no name to look up", "A records say no port", "Refresh, -1ns"}},
		{discovery.DNSOptions{Name: "x", Records: discovery.AAAA}, []string{"AAAA records say no port"}},
		{discovery.DNSOptions{Name: "x", Records: discovery.SRV, Port: 1}, []string{"SRV records say the ports"}},
		{discovery.DNSOptions{Name: "x", Port: 1, Server: "127.0.0.1:53", Resolver: &resolver{}}, []string{"Server or Resolver"}},
		{discovery.DNSOptions{Name: "x", Records: 7}, []string{"there are no Records(7)"}},
	} {
		_, err := discovery.NewDNS(c.opts)
		for _, says := range c.says {
			require.ErrorContains(t, err, says)
		}
	}
}
