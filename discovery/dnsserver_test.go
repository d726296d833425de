package discovery_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/discovery"
)

// dnsServer is a DNS server on the loopback, over UDP and TCP.
type dnsServer struct {
	addr string

	mu      sync.Mutex
	records []dns.RR
	code    int
	mute    bool
	asked   int // questions
	byTCP   int // those of them that came over TCP
}

// startDNS runs a server until the test ends.
func startDNS(t *testing.T, records ...string) *dnsServer {
	t.Helper()
	s := &dnsServer{}
	s.set(t, records...)
	listener, packets := listenBoth(t)
	s.addr = listener.Addr().String()
	for _, server := range []*dns.Server{
		{Listener: listener, Handler: s},
		{PacketConn: packets, Handler: s},
	} {
		done := make(chan error)
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { done <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			assert.NoError(t, server.Shutdown())
			assert.NoError(t, <-done)
		})
	}
	return s
}

// listenBoth listens on a port that is free for TCP and UDP.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	var config net.ListenConfig
	for {
		listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		packets, err := config.ListenPacket(t.Context(), "udp", listener.Addr().String())
		if err == nil {
			return listener, packets
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, listener.Close())
	}
}

// set replaces what the server knows.
func (s *dnsServer) set(t *testing.T, records ...string) {
	t.Helper()
	var parsed []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(text)
		require.NoError(t, err)
		parsed = append(parsed, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.code, s.mute = parsed, dns.RcodeSuccess, false
}

// fail makes the server answer with a code, or not at all.
func (s *dnsServer) fail(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.mute = code, code < 0
}

// ServeDNS implements [dns.Handler].
func (s *dnsServer) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.mute {
		return
	}
	answer := new(dns.Msg)
	answer.SetRcode(question, s.code)
	answer.Authoritative = true
	known := false
	for _, rr := range s.records {
		asked := question.Question[0]
		if !strings.EqualFold(rr.Header().Name, asked.Name) {
			continue
		}
		known = true
		if rr.Header().Rrtype == asked.Qtype && s.code == dns.RcodeSuccess {
			answer.Answer = append(answer.Answer, rr)
		}
	}
	if !known && s.code == dns.RcodeSuccess {
		answer.Rcode = dns.RcodeNameError
	}
	if w.LocalAddr().Network() == "tcp" {
		s.byTCP++
	} else {
		size := dns.MinMsgSize
		if opt := question.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		answer.Truncate(size)
	}
	_ = w.WriteMsg(answer)
}

// followDNS makes a node follow a name on the server.
func followDNS(t *testing.T, s *dnsServer, self string, opts discovery.DNSOptions) *watched {
	t.Helper()
	opts.Server = s.addr
	opts.Refresh = 10 * time.Millisecond
	if opts.Timeout == 0 {
		opts.Timeout = patience
	}
	d, err := discovery.NewDNS(opts)
	require.NoError(t, err)
	return run(t, d, self)
}

func TestAddressesOfARealServer(t *testing.T) {
	t.Parallel()
	s := startDNS(t, "peers.test. 5 A 127.0.0.1", "peers.test. 5 A 127.0.0.2", "peers.test. 5 AAAA ::1")
	w := followDNS(t, s, "127.0.0.1:7001", discovery.DNSOptions{Name: "peers.test.", Port: 7001})
	w.has(t, "127.0.0.1:7001 127.0.0.2:7001")
	s.set(t, "peers.test. 5 A 127.0.0.1", "peers.test. 5 A 127.0.0.3", "peers.test. 5 A 127.0.0.2")
	w.has(t, "127.0.0.1:7001 127.0.0.2:7001 127.0.0.3:7001")
	assert.Equal(t, "dns A peers.test.", w.members.Status().Source)

	six := followDNS(t, s, "[::1]:7001", discovery.DNSOptions{Name: "peers.test.", Port: 7001, Records: discovery.AAAA})
	six.fails(t, "the name does not exist or has no such records")
	s.set(t, "peers.test. 5 AAAA ::1", "peers.test. 5 AAAA fd00::2", "peers.test. 5 A 127.0.0.1")
	six.has(t, "[::1]:7001 [fd00::2]:7001")
}

func TestServicesOfARealServer(t *testing.T) {
	t.Parallel()
	const name = "_peers._tcp.cache.test."
	s := startDNS(t, name+" 5 SRV 0 50 7001 cache-0.cache.test.", name+" 5 SRV 0 50 7001 cache-1.cache.test.")
	w := followDNS(t, s, "cache-0.cache.test:7001", discovery.DNSOptions{Name: name, Records: discovery.SRV})
	w.has(t, "cache-0.cache.test:7001 cache-1.cache.test:7001")
	s.set(t, name+" 5 SRV 0 33 7001 cache-0.cache.test.", name+" 5 SRV 0 33 7001 cache-1.cache.test.", name+" 5 SRV 0 33 7002 cache-2.cache.test.")
	w.has(t, "cache-0.cache.test:7001 cache-1.cache.test:7001 cache-2.cache.test:7002")
	for _, p := range w.Peers() {
		assert.Equal(t, uint16(1), p.Weight)
	}
}

func TestAListThatDoesNotFitInAPacket(t *testing.T) {
	t.Parallel()
	var records []string
	for i := range 500 {
		records = append(records, fmt.Sprintf("peers.test. 5 A 10.0.%d.%d", i/250, i%250))
	}
	s := startDNS(t, records...)
	w := followDNS(t, s, "10.0.1.7:7001", discovery.DNSOptions{Name: "peers.test.", Port: 7001})
	require.NoError(t, w.members.Await(t.Context()))
	assert.Len(t, w.Peers(), 500)
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.NotZero(t, s.byTCP)
}

func TestAServerThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code int
		says string
	}{
		"NXDOMAIN": {dns.RcodeNameError, "the name does not exist"},
		"SERVFAIL": {dns.RcodeServerFailure, "server misbehaving"},
		"REFUSED":  {dns.RcodeRefused, "look up A records"},
		"silence":  {-1, "no answer within 50ms"},
		"empty":    {dns.RcodeSuccess, "has no such records"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := []string{"peers.test. 5 A 127.0.0.1", "peers.test. 5 A 127.0.0.2"}
			s := startDNS(t, known...)
			opts := discovery.DNSOptions{Name: "peers.test.", Port: 7001}
			if c.code < 0 {
				opts.Timeout = 50 * time.Millisecond
			}
			w := followDNS(t, s, "127.0.0.1:7001", opts)
			w.has(t, "127.0.0.1:7001 127.0.0.2:7001")
			if c.code == dns.RcodeSuccess {
				s.set(t, "peers.test. 5 AAAA ::1")
			} else {
				s.fail(c.code)
			}
			w.fails(t, c.says)
			s.set(t, known...)
			w.recovers(t)
			assert.Len(t, w.lists(), 1)
		})
	}
}

func TestWatchingEndsWhileAServerIsSilent(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]discovery.DNSOptions{
		"A":   {Name: "peers.test.", Port: 7001},
		"SRV": {Name: "peers.test.", Records: discovery.SRV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startDNS(t)
			s.fail(-1)
			w := followDNS(t, s, "a", opts)
			require.Eventually(t, func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.asked > 0
			}, patience, pollEvery)
			begun := time.Now()
			w.end()
			// Go's resolver would wait for 5 s.
			assert.Less(t, time.Since(begun), 4*time.Second)
		})
	}
}
