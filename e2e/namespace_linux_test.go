package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// insideOf is the variable in the environment of a test that runs by itself in
// a network namespace. Its value is the directory with what was built.
const insideOf = "GCNODE_E2E_INSIDE_OF"

func insideNamespace() bool { return os.Getenv(insideOf) != "" }

// isolated makes a program run in new namespaces, as their root.
func isolated(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
}

// tryNamespaces returns why nodes cannot have network namespaces, or nothing.
func tryNamespaces() string {
	cmd := exec.CommandContext(context.Background(), "sh", "-ec", `mount -t tmpfs none /run; ip netns add probe
		ip link add out type veth peer name in netns probe
		ip rule add from 10.9.1.2 to 10.9.2.2 ipproto tcp dport 7001 blackhole
		echo 1 >/proc/sys/net/ipv4/ip_forward`)
	isolated(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return strings.TrimSpace(fmt.Sprintf("%v %s", err, out))
	}
	return ""
}

// runInNamespace runs the test again, in a process of its own that is root of
// new namespaces. They are gone with the last process in them, however it ends.
func runInNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	if deadline, ok := t.Deadline(); ok {
		cmd.Args = append(cmd.Args, "-test.timeout="+time.Until(deadline).String())
	}
	isolated(cmd)
	cmd.Env = append(os.Environ(), insideOf+"="+built.dir)
	out, err := cmd.CombinedOutput()
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		t.Log(lines.Text())
	}
	assert.NoError(t, err)
	assert.Contains(t, string(out), "--- PASS: "+t.Name())
}

// namespaces are a fabric in which each node has a network namespace. That of
// the tests is their router, which drops what is cut.
type namespaces struct{ cuts []string }

// The ports of a node in its namespace.
const (
	peersPort = 7001
	apiPort   = 8080
	adminPort = 8081
)

func newNamespaces(t *testing.T) fabric {
	t.Helper()
	return startNamespaces(t)
}

// startNamespaces prepares the router.
func startNamespaces(t *testing.T) *namespaces {
	t.Helper()
	require.NoError(t, syscall.Mount("none", "/run", "tmpfs", 0, ""), "a place for the names of namespaces")
	f := &namespaces{}
	f.ip(t, "link set lo up", "address add "+f.host()+"/32 dev lo")
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600))
	return f
}

func (*namespaces) name() string { return "network namespaces" }

func (*namespaces) discovers() bool { return false }

func (*namespaces) host() string { return "10.9.0.1" }

// ip runs commands of ip.
func (*namespaces) ip(t *testing.T, commands ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "ip: %s", out)
}

func (f *namespaces) place(t *testing.T, nodes cluster) {
	t.Helper()
	for i, n := range nodes {
		router, address := fmt.Sprintf("10.9.%d.1", i+1), fmt.Sprintf("10.9.%d.2", i+1)
		f.ip(t, "netns add "+n.id,
			"link add to-"+n.id+" type veth peer name out netns "+n.id,
			"address add "+router+"/24 dev to-"+n.id, "link set to-"+n.id+" up")
		inside := exec.CommandContext(t.Context(), "ip", "-netns", n.id, "-batch", "-")
		inside.Stdin = strings.NewReader("link set lo up\naddress add " + address + "/24 dev out\nlink set out up\nroute add default via " + router + "\n")
		out, err := inside.CombinedOutput()
		require.NoError(t, err, "ip: %s", out)
		n.inside = []string{"ip", "netns", "exec", n.id}
		n.peers, n.api, n.admin = fmt.Sprintf("%s:%d", address, peersPort), fmt.Sprintf("%s:%d", address, apiPort), fmt.Sprintf("%s:%d", address, adminPort)
	}
}

func (f *namespaces) members(n *node, all cluster) string { return peersSetting(n, all, f.url) }

func (*namespaces) url(_, to *node) string { return "http://" + to.peers + "/" }

func (f *namespaces) cut(t *testing.T, from, to *node) {
	t.Helper()
	f.drop(t, from, to, fmt.Sprintf("ipproto tcp dport %d", peersPort))
}

// drop lets nothing of a kind pass from a node to another.
func (f *namespaces) drop(t *testing.T, from, to *node, kind string) {
	t.Helper()
	source, _, _ := strings.Cut(from.peers, ":")
	target, _, _ := strings.Cut(to.peers, ":")
	rule := fmt.Sprintf("from %s to %s %s blackhole", source, target, kind)
	f.ip(t, "rule add "+rule)
	f.cuts = append(f.cuts, rule)
}

func (f *namespaces) mend(t *testing.T) {
	t.Helper()
	commands := make([]string, 0, len(f.cuts))
	for _, rule := range f.cuts {
		commands = append(commands, "rule del "+rule)
	}
	f.ip(t, commands...)
	f.cuts = nil
}

// natsNamespaces are namespaces of nodes with NATS servers within: what one says
// to another goes through connections that either has opened.
type natsNamespaces struct{ *namespaces }

func newNATSNamespaces(t *testing.T) fabric {
	t.Helper()
	return natsNamespaces{startNamespaces(t)}
}

func (natsNamespaces) name() string { return "NATS servers within them, in network namespaces" }

func (natsNamespaces) discovers() bool { return true }

func (natsNamespaces) members(n *node, all cluster) string {
	return routesSetting(n, all, partedHeartbeat, func(_, to *node) string { return to.peers })
}

func (f natsNamespaces) cut(t *testing.T, from, to *node) {
	t.Helper()
	f.drop(t, from, to, "ipproto tcp")
}
