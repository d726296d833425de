package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	runMutants  = flag.String("sim.mutants", "", "take out the mechanisms whose names contain this, one at a time, and see the simulation fail; \"all\" for all of them")
	fromMutant  = flag.Int("sim.frommutant", 0, "the first mutant")
	mutantSeeds = flag.Int("sim.mutantseeds", 4000, "how many seeds a mutant may survive")
)

// mutant is a core without one of the mechanisms that its promises rest on.
type mutant struct {
	name string
	file string // below core
	// old, which is there once, becomes new.
	old, new string
}

// mutants are what must not survive the simulation.
var mutants = []mutant{
	{
		"a flight that a removal overtook keeps its answer", "internal/flight/flight.go",
		"	if c.detached {\n		return false\n	}\n	store()", "	store()",
	},
	{
		"a flight that a removal overtook is joined", "internal/flight/flight.go",
		"		if c := calls[key]; c != nil {\n			c.detach()\n		}", "		if c := calls[key]; c != nil {\n			c.detached = true\n		}",
	},
	{
		"requests carry no removals", "load.go",
		"removals, _ := g.node.removals.active(g.name, key) // too many: the flight is alone", "var removals []Removal",
	},
	{
		"carried removals are not applied", "serve.go",
		"	for _, r := range causal(req) {\n		n.apply(r)\n	}\n", "",
	},
	{
		"those who confirm name no members", "outbox.go",
		"		for _, p := range ack.Members {\n			o.enqueue(t, p)\n		}\n		o.confirmed", "		_ = ack\n		o.confirmed",
	},
	{
		"who left a list is told no more", "view.go",
		"	for id, f := range v.former {\n		if now < f.until {", "	for id, f := range v.former {\n		if now < f.until && false {",
	},
	{
		"a node that starts joins at once", "join.go",
		"		answered, unreachable := n.helloAll(others, v.ring.Hash())",
		"		answered, unreachable := []string{}, []string{}\n		for _, p := range others {\n			answered = append(answered, p.ID)\n		}",
	},
	{
		"an earlier set overwrites a later one", "removals.go",
		"	return !later\n", "	return true\n",
	},
	{
		"a removal takes out what was set after it", "remove.go",
		"if e, ok := g.owned.Get(key); !ok || Stamp(e.Stamp).Compare(stamp) <= 0 {", "if true {",
	},
	{
		"one clock for each node alone", "stamp.go",
		"	c.last = max(c.last, s.Time)\n", "",
	},
	{
		"asking and loading are one", "internal/flight/flight.go",
		"		for role := range f.stripes[i].calls {\n			f.stripes[i].calls[role] = map[string]*Call[T]{}",
		"		calls := map[string]*Call[T]{}\n		for role := range f.stripes[i].calls {\n			f.stripes[i].calls[role] = calls",
	},
	{
		"gaps are not seen", "known.go",
		"		return o.Seq > 0 && (t == nil || t.upTo < o.Seq)", "		return t == nil && o.Seq == 1<<63",
	},
	{
		"requests of peers are forwarded", "serve.go",
		"	g.loadMany(ctx, v, &misses, func(", "	g.fillAll(ctx, req.Keys, misses.indices, func(",
	},
	{
		"what another list's owner says is kept", "load.go",
		"if p.ID == v.owner(key) && listHash == v.ring.Hash() {", "if listHash != 1 {",
	},
	{
		"strangers are asked", "meet.go",
		"	if len(ids) > 0 && n.strangers.add(ids) {", "	if false && n.strangers.add(ids) {",
	},
	{
		"a removal that failed is not told again", "outbox.go",
		"		b.waiting = append(m.batch, b.waiting...)\n", "",
	},
	{
		"hot copies live for ever", "group.go",
		"a.expires = min(a.expires, expiry(born, For(g.node.cfg.HotTTL)))", "a.expires = min(a.expires, expiry(born, Forever))",
	},
	{
		"a remaining life counts from the answer", "load.go",
		"	a, e := g.answerOfReply(got, sent)", "	a, e := g.answerOfReply(got, g.node.now())",
	},
	{
		"a load is not joined", "internal/flight/flight.go",
		"		if c.ctx.Err() == nil {\n			return c.take()\n		}\n		c.detach() // its", "		c.detach() // its",
	},
	{
		"what others own now is served for ever", "group.go",
		"		if g.node.clock.Now() < min(g.node.demoted.Load(), owned.entry.Expires) {", "		if g.node.clock.Now() < owned.entry.Expires {",
	},
	{
		"a gap drops nothing", "sync.go",
		"		n.forgetAll(\"removals were missed that \" + p.ID + \" knows of\")\n", "",
	},
}

// TestMutants takes long: for each mutant it builds the simulation anew.
func TestMutants(t *testing.T) {
	if *runMutants == "" {
		t.Skip("-sim.mutants is not set")
	}
	for i, m := range mutants {
		if i < *fromMutant {
			continue
		}
		if *runMutants != "all" && !strings.Contains(m.name, *runMutants) {
			continue
		}
		t.Run(m.name, func(t *testing.T) { m.test(t) })
	}
}

// test builds and runs the simulation with the mutant until it fails.
func (m *mutant) test(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join("../../core", m.file))
	require.NoError(t, err)
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(source, []byte(m.old)), "%s has changed: what the mutant replaces must be there once", m.file)
	mutated := filepath.Join(dir, "mutated.go")
	require.NoError(t, os.WriteFile(mutated, bytes.Replace(source, []byte(m.old), []byte(m.new), 1), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutated}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	binary := filepath.Join(dir, "sim.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, binary, "-test.v", "-test.failfast", "-test.run=^(TestScenarios|TestSimulation)$", "-sim.stop", fmt.Sprintf("-sim.seeds=%d", *mutantSeeds)) //nolint:gosec // it was just built
	text, err := run.CombinedOutput()
	if assert.Error(t, err, "the mutant survives %d seeds", *mutantSeeds) {
		fmt.Printf("%-52s killed in %3.0f s by %s\n", m.name, time.Since(begun).Seconds(), killer(string(text)))
	}
}

// killer is the line of the output that says what has failed.
func killer(text string) string {
	for line := range strings.Lines(text) {
		for _, sign := range []string{"breaks a promise", "--- FAIL: TestScenarios/", "panic:", "deadlock", "no run has met"} {
			if strings.Contains(line, sign) {
				return strings.TrimSpace(line)
			}
		}
	}
	return text[max(0, len(text)-500):]
}
