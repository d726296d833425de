package e2e_test

import (
	"os"
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
	// url is where a node reaches another for what peers say to each other.
	url(from, to *node) string
	// cut keeps what one node asks of another from arriving, and mend ends
	// that for all of them. Nobody is told: requests hang.
	cut(t *testing.T, from, to *node)
	mend(t *testing.T)
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
func throughFabric(t *testing.T, test func(t *testing.T, f fabric)) {
	t.Helper()
	if insideNamespace() {
		test(t, newNamespaces(t))
		return
	}
	t.Parallel()
	want := os.Getenv(partitionsBy)
	require.Contains(t, []string{"", "netns", "proxy"}, want, partitionsBy)
	if want == "proxy" {
		test(t, newProxies(t))
		return
	}
	why := whyProxy()
	if want == "netns" {
		require.Empty(t, why, "network namespaces cannot be made")
	}
	if why != "" {
		report(t, "proxies between the nodes instead of network namespaces: %s", why)
		test(t, newProxies(t))
		return
	}
	runInNamespace(t)
}
