package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// embeddedNATS are nodes with NATS servers within, which connect to each other.
type embeddedNATS struct{}

func (embeddedNATS) name() string { return "NATS servers within them" }

func (embeddedNATS) host() string { return "127.0.0.1" }

func (embeddedNATS) discovers() bool { return true }

func (embeddedNATS) place(t *testing.T, nodes cluster) {
	t.Helper()
	for _, n := range nodes {
		n.peers, n.api, n.admin = ports.address(t), ports.address(t), ports.address(t)
	}
}

func (embeddedNATS) members(_ *node, all cluster) string {
	routes := make([]string, 0, len(all))
	for _, n := range all {
		routes = append(routes, fmt.Sprintf("%q", n.peers))
	}
	return "transport: nats\nnats: {embedded: true, routes: [" + strings.Join(routes, ", ") + "]}\n"
}

func (embeddedNATS) cut(t *testing.T, _, _ *node) {
	t.Helper()
	require.FailNow(t, "what goes from a node to another may take any way")
}

func (embeddedNATS) mend(*testing.T) {}
