package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
)

const (
	nodes      = 3
	groupName  = "godoc"
	startTries = 5
	readyTime  = 2 * time.Minute // for a node to compile its module on a slow machine
	pollEvery  = 20 * time.Millisecond
	maxAnswer  = 1 << 20
)

// member is one node of the cluster.
type member struct {
	ID               string
	Peer, API, Admin string // host:port
	config           string // path of its configuration
	log              string // path of its log
	process          *process
	client           *client.Client
}

// cluster is the nodes of the demo.
type cluster struct {
	program string // gcnode itself
	dir     string
	module  string
	origin  string
	starter *starter
	nats    bool // what the members talk over; else HTTP
	members []*member
}

// errPortTaken says that somebody else took a port between its reservation
// and its use.
var errPortTaken = errors.New("a port was taken by somebody else")

// start starts all nodes and waits until they are ready.
func (c *cluster) start(ctx context.Context) error {
	for range startTries - 1 {
		err := c.try(ctx)
		if !errors.Is(err, errPortTaken) {
			return err
		}
		c.stop(ctx)
	}
	return c.try(ctx)
}

// try starts all nodes on ports that are free at the moment.
func (c *cluster) try(ctx context.Context) error {
	addresses, err := freeAddresses(ctx, 3*nodes)
	if err != nil {
		return err
	}
	c.members = nil
	for i := range nodes {
		id := fmt.Sprintf("node-%d", i+1)
		m := &member{
			ID: id, Peer: addresses[3*i], API: addresses[3*i+1], Admin: addresses[3*i+2],
			config: filepath.Join(c.dir, id+".yaml"), log: filepath.Join(c.dir, id+".log"),
		}
		if m.client, err = client.New("http://"+m.API, client.Options{}); err != nil {
			return err
		}
		c.members = append(c.members, m)
	}
	for _, m := range c.members {
		if err := c.writeConfig(m); err != nil {
			return err
		}
	}
	// The first one compiles the module, and waits for the others to join; they
	// find it compiled.
	for i, m := range c.members {
		if err := c.launch(m); err != nil {
			return err
		}
		if i == 0 {
			if err := m.await(ctx, stateReady, stateJoining); err != nil {
				return err
			}
		}
	}
	for _, m := range c.members {
		if err := m.await(ctx, stateReady); err != nil {
			return err
		}
	}
	return c.meet(ctx)
}

// meet waits until each node knows all of them. Those that find each other may
// be ready before.
func (c *cluster) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for _, m := range c.members {
		for m.known(ctx) < len(c.members) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("%s does not find the others: %w", m.ID, ctx.Err())
			}
		}
	}
	return nil
}

// launch starts the process of one node.
func (c *cluster) launch(m *member) error {
	p, err := startProcess(c.starter, m.log, c.program, "serve", "--config", m.config)
	if err != nil {
		return fmt.Errorf("%s: %w", m.ID, err)
	}
	m.process = p
	return nil
}

// stop ends all nodes. It is called with a context that is not the demo's, so
// that it also works after an interruption.
func (c *cluster) stop(ctx context.Context) {
	var wg sync.WaitGroup
	for _, m := range c.members {
		m.client.Close()
		if m.process != nil && m.process.running() {
			wg.Go(func() { _ = m.process.stop(ctx) })
		}
	}
	wg.Wait()
}

// freeAddresses finds addresses that nobody listens on. They are held together
// until all are known, so that they differ.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// configText is the configuration of a node.
const configText = `id: {{.Self.ID}}
listen:
  peers: {{.Self.Peer}}
  api: {{.Self.API}}
  admin: {{.Self.Admin}}
{{- if .NATS}}
transport: nats
nats:
  embedded: true
  routes:
{{- range .Members}}
    - {{.Peer}}
{{- end}}
{{- else}}
peers:
{{- range .Members}}
  - {id: {{.ID}}, url: "http://{{.Peer}}/"}
{{- end}}
{{- end}}
groups:
  {{.Group}}:
    max_bytes: 64MiB
    ttl: 1h
    negative_ttl: 1m
    content_type: text/html; charset=utf-8
    plugin:
      module: {{printf "%q" .Module}}
      memory: 64MiB
      instances: 4
      pending: 2
      timeout: 25s
      allow_fetch: [{{.Origin}}]
      config:
        origin: {{.Origin}}
        format: html
log: {level: info, format: text}
join_timeout: 30s
compilation_cache: {{printf "%q" .Cache}}
`

// writeConfig writes the configuration of a node.
func (c *cluster) writeConfig(m *member) error {
	parsed, err := template.New("config").Parse(configText)
	if err != nil {
		return err
	}
	var text strings.Builder
	err = parsed.Execute(&text, map[string]any{
		"Self": m, "Members": c.members, "NATS": c.nats, "Group": groupName, "Module": c.module, "Origin": c.origin,
		"Cache": filepath.Join(c.dir, "compiled"),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(m.config, []byte(text.String()), 0o600)
}

// What a node says of itself when it is asked whether it is ready.
const (
	stateReady   = "ready"
	stateJoining = "not ready: joining"
)

// await waits until the node is in one of the states.
func (m *member) await(ctx context.Context, states ...string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if slices.Contains(states, m.state(ctx)) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-m.process.exited:
			if strings.Contains(m.process.logTail(20), "address already in use") {
				return fmt.Errorf("%s: %w", m.ID, errPortTaken)
			}
			return fmt.Errorf("%s ended while it was starting", m.ID)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", m.ID, ctx.Err())
		}
	}
}

// state asks the node whether it is ready; empty: it does not answer.
func (m *member) state(ctx context.Context) string {
	return strings.TrimSpace(string(m.ask(ctx, "/readyz")))
}

// known is how many members the node knows and has joined, itself included.
func (m *member) known(ctx context.Context) int {
	var report status.Report
	if json.Unmarshal(m.ask(ctx, "/v1/stats"), &report) != nil || !report.Node.Joined || report.Discovery == nil {
		return 0
	}
	return report.Discovery.Members
}

// ask asks the node's administration listener; empty: it does not answer.
func (m *member) ask(ctx context.Context, path string) []byte {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.Admin+path, http.NoBody)
	if err != nil {
		return nil
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil
	}
	return text
}
