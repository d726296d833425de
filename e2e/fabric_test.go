package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fabric is what connects the nodes of a cluster, and can keep them apart.
type fabric interface {
	// name says how.
	name() string
	// host is an address of the tests that the nodes reach.
	host() string
	// place gives nodes their addresses.
	place(t *testing.T, nodes cluster)
	// members is the part of a node's configuration that says what members talk
	// over, and where it finds the others.
	members(n *node, all cluster) string
	// discovers reports whether nodes find each other, so that their lists of
	// members change by themselves.
	discovers() bool
	// cut keeps what one node asks of another from arriving, or, where that
	// takes any way, what it says; mend ends that for all of them. Nobody is
	// told: requests hang.
	cut(t *testing.T, from, to *node)
	mend(t *testing.T)
}

// overEach runs a test with nodes that talk over HTTP, and with nodes that talk
// over NATS: nothing but their configuration differs.
func overEach(t *testing.T, test func(t *testing.T, f fabric)) {
	t.Helper()
	t.Parallel()
	for name, newFabric := range map[string]func(t *testing.T) fabric{
		"http": newProxies,
		"nats": func(*testing.T) fabric { return embeddedNATS{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFabric(t))
		})
	}
}

// peersSetting is the setting peers, with the URLs of members as a node has them.
func peersSetting(n *node, all cluster, url func(from, to *node) string) string {
	var text strings.Builder
	text.WriteString("peers:\n")
	for _, other := range all {
		fmt.Fprintf(&text, "  - {id: %s, url: %q}\n", other.id, url(n, other))
	}
	return text.String()
}

// partitionsBy is the variable in the environment that decides how nodes are
// kept apart: "netns", "proxy", or what works if it is empty.
const partitionsBy = "GCNODE_E2E_PARTITIONS"

// whyProxy is empty where network namespaces can be made, and otherwise the
// reason why they cannot.
var whyProxy = sync.OnceValue(tryNamespaces)

// throughFabric runs a test with nodes that can be kept apart: in a process of
// its own with a network namespace for each node, or else with proxies between
// them.
func throughFabric(t *testing.T, inNamespaces, byProxies func(t *testing.T) fabric, test func(t *testing.T, f fabric)) {
	t.Helper()
	if insideNamespace() {
		test(t, inNamespaces(t))
		return
	}
	t.Parallel()
	want := os.Getenv(partitionsBy)
	require.Contains(t, []string{"", "netns", "proxy"}, want, partitionsBy)
	if want == "proxy" {
		test(t, byProxies(t))
		return
	}
	why := whyProxy()
	if want == "netns" {
		require.Empty(t, why, "network namespaces cannot be made")
	}
	if why != "" {
		report(t, "proxies between the nodes instead of network namespaces: %s", why)
		test(t, byProxies(t))
		return
	}
	runInNamespace(t)
}
