package wasm

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nowhere is an address of the internet that nobody has: documents use it.
const nowhere = "192.0.2.1"

// fickleDNS answers questions for the address of a name by what it is told to
// say the first time, the second time and so on; the last answer stays. There
// are no addresses of other kinds.
type fickleDNS struct {
	mu      sync.Mutex
	answers [][]string
	asked   int
}

// newFickleDNS is the resolver of the process as long as the test runs.
func newFickleDNS(t *testing.T, answers ...[]string) *fickleDNS {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	d := &fickleDNS{answers: answers}
	var served sync.WaitGroup
	served.Go(func() { d.serve(conn) })
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		assert.NoError(t, conn.Close())
		served.Wait()
	})
	return d
}

// times is how often it was asked for an address.
func (d *fickleDNS) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *fickleDNS) serve(conn *net.UDPConn) {
	query := make([]byte, 512)
	for {
		n, from, err := conn.ReadFromUDP(query)
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDP(d.answer(query[:n]), from) // it will ask again
	}
}

// answer is the answer to a query: its number, what it asks, and addresses.
func (d *fickleDNS) answer(query []byte) []byte {
	const head, typeA = 12, 1
	end := head
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	question := query[head : end+5] // the name, its type and class
	var addresses []string
	if binary.BigEndian.Uint16(question[len(question)-4:]) == typeA {
		d.mu.Lock()
		addresses = d.answers[min(d.asked, len(d.answers)-1)]
		d.asked++
		d.mu.Unlock()
	}
	b := slices.Clone(query[:2])
	b = append(b, 0x81, 0x80, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0)
	b = append(b, question...)
	for _, a := range addresses {
		ip := netip.MustParseAddr(a).As4()
		b = append(b, 0xc0, head, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // of the name in the question, not to be kept
		b = append(b, ip[:]...)
	}
	return b
}

// A name on the allow-list that comes to stand for an address inside is not
// followed there, whichever of its answers it was, and whether a guest or a
// redirect names it.
func TestNamesWhoseAnswersChange(t *testing.T) {
	inside := newOrigin(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive inside") })
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	byName := "http://rebind.example:" + port
	redirecting := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, byName, http.StatusFound) })
	p := loadVerbs(t, Options{AllowFetch: []string{byName, redirecting.URL}, Instances: 1})
	for name, answers := range map[string][][]string{
		"inside at once":        {{"127.0.0.1"}},
		"inside later":          {{nowhere}, {"127.0.0.1"}},
		"outside and inside":    {{nowhere, "127.0.0.1"}, {"127.0.0.1", nowhere}, {"127.0.0.1"}},
		"a private network":     {{"10.0.0.1"}},
		"the cloud's own":       {{"169.254.169.254"}},
		"this host":             {{"0.0.0.0"}},
		"carrier's network":     {{"100.64.0.1"}},
		"the loopback, further": {{"127.8.8.8"}},
	} {
		t.Run(name, func(t *testing.T) {
			dns := newFickleDNS(t, answers...)
			var last fetchAnswer
			for range len(answers) + 1 {
				for _, origin := range []string{byName, redirecting.URL} {
					last = fetchThrough(t, p, "100:0:GET:"+origin)
					assert.NotZero(t, last.failure)
				}
			}
			assert.Equal(t, fetchDenied, last.failure, "%s", last.body)
			assert.Contains(t, string(last.body), "rebind.example does not resolve to a public address")
			assert.GreaterOrEqual(t, dns.times(), len(answers), "each time the name is resolved anew")
		})
	}
}

// Redirects lead nowhere but to the allow-list: not to other schemes, and not to
// addresses inside, however they are written.
func TestRedirectsThatLeadAstray(t *testing.T) {
	t.Parallel()
	inside := newOrigin(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive inside") })
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Instances: 1})
	for _, target := range []string{
		"file:///etc/passwd", "ftp://127.0.0.1:%s/", "gopher://127.0.0.1:%s/", "data:text/plain,x", "javascript:alert(1)",
		"unix:///var/run/docker.sock", "//127.0.0.1:%s/", "http://127.0.0.1:%s/", "http://127.0.0.1:%s@/",
		"http://[::1]:%s/", "http://[::ffff:7f00:1]:%s/", "http://[::]:%s/", "http://0.0.0.0:%s/", "http://0:%s/",
		"http://0x7f000001:%s/", "http://017700000001:%s/", "http://127.1:%s/", "http://localhost:%s/", "http://LOCALHOST.:%s/",
		"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/", "http://172.16.0.1/",
		"http://192.168.0.1/", "http://[fe80::1%%25lo]:%s/", "http:///", "http://", "://",
		strings.Replace(origin.URL, "http:", "https:", 1),
	} {
		if strings.Contains(target, "%s") {
			target = fmt.Sprintf(target, port)
		}
		a := fetchThrough(t, p, "1000:0:GET:"+origin.URL+"/?to="+queryEscape(target))
		assert.NotZero(t, a.failure, "%s: status %d, %q", target, a.status, a.body)
		assert.NotEqual(t, fetchTimeout, a.failure, "%s: %s", target, a.body)
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

// queryEscape escapes a URL for the argument of another one, and for the
// command of the guest, which ends at a bar.
func queryEscape(target string) string {
	var b strings.Builder
	for i := range len(target) {
		fmt.Fprintf(&b, "%%%02x", target[i])
	}
	return b.String()
}
