package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const header = "command: go test -bench=X .\ncommit: 1234567\ngoos: linux\n"

// place makes the results and an empty directory for the document.
func newPlace(t *testing.T, files map[string]string) place {
	t.Helper()
	p := place{results: t.TempDir(), dir: t.TempDir()}
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(p.results, name), []byte(header+content), 0o600))
	}
	return p
}

// hits are rounds of results in which ours gets slower with the machine, but
// always has half the time of otter.
func hits(rounds int) string {
	var b strings.Builder
	for i := range rounds {
		for _, n := range []int{1, 2} {
			fmt.Fprintf(&b, "BenchmarkHit/keys=10/goroutines=%d/impl=map-2 100 %d ns/op 0 allocs/op\n", n, 10*(i+1))
			fmt.Fprintf(&b, "BenchmarkHit/keys=10/goroutines=%d/impl=otter-2 100 %d ns/op 1 allocs/op\n", n, 40*(i+1))
			fmt.Fprintf(&b, "BenchmarkHit/keys=10/goroutines=%d/impl=gcnode-group-2 100 %d ns/op 0 allocs/op\n", n, 20*(i+1)*n)
		}
	}
	return b.String()
}

func written(t *testing.T, what part, p place) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, what.write(&b, p))
	return b.String()
}

func TestTable(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": hits(6)})
	assert.Equal(t, `
| ns/op · allocs/op | goroutines 1 | goroutines 2 |
| --- | --- | --- |
| map | 35 · 0 | 35 · 0 |
| otter | 140 · 1 | 140 · 1 |
| gcnode-group | 70 · 0 | 140 · 0 |

Median of 6 runs: `+"`go test -bench=X .`\n\n",
		written(t, table{
			files: []string{"hit.txt"}, where: []label{{"keys", "10"}}, rows: []string{"impl"},
			columns: []string{"goroutines"}, units: []string{"ns/op", "allocs/op"},
		}, p))
	assert.Contains(t, written(t, table{
		files: []string{"hit.txt"}, rows: []string{"impl", "goroutines"}, units: []string{"ns/op", "allocs/op"},
	}, p), "|  | ns/op | allocs/op |\n| --- | --- | --- |\n| map, goroutines 1 | 35 | 0 |\n")
}

func TestTableOfMultiples(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": hits(7)})
	assert.Contains(t, written(t, table{
		files: []string{"hit.txt"}, rows: []string{"impl"}, columns: []string{"keys", "goroutines"},
		units: []string{"ns/op"}, floor: label{"impl", "map"},
	}, p), `
| × map | keys 10, goroutines 1 | keys 10, goroutines 2 |
| --- | --- | --- |
| map | 1 | 1 |
| otter | 4 | 4 |
| gcnode-group | 2 | 4 |
`)
}

func TestTooFewRuns(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": hits(5)})
	for _, what := range []part{
		table{files: []string{"hit.txt"}, rows: []string{"impl"}, units: []string{"ns/op"}},
		figure{files: []string{"hit.txt"}, name: "x.svg", x: "goroutines", unit: "ns/op"},
		goals{{files: []string{"hit.txt"}, measure: worst("allocs/op")}},
	} {
		require.ErrorContains(t, what.write(&strings.Builder{}, p), "5 runs are too few")
	}
}

func TestNotMeasured(t *testing.T) {
	for name, what := range report() {
		assert.Equal(t, unmeasured, written(t, what, newPlace(t, nil)), name)
	}
}

func TestGoals(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": hits(6)})
	file := []string{"hit.txt"}
	one, two := label{"goroutines", "1"}, label{"goroutines", "2"}
	assert.Contains(t, written(t, goals{
		{what: "allocations", reach: "0", files: file, measure: worst("allocs/op")},
		{what: "time ÷ otter's", reach: "≤ 0.9", files: file, limit: 0.9, measure: against("otter", "ns/op", one)},
		{what: "with two", reach: "≤ 0.9", files: file, limit: 0.9, measure: against("otter", "ns/op", two)},
		{what: "the worst", reach: "≤ 0.9", files: file, limit: 0.9, measure: against("otter", "ns/op")},
		{what: "times as fast", reach: "≥ 2", files: file, limit: 2, atLeast: true, measure: timesFaster("otter", "ns/op", one)},
		{what: "beside nobody", reach: "≤ 1", files: file, limit: 1, measure: against("nobody", "ns/op")},
		{what: "elsewhere", reach: "≤ 1", files: []string{"none.txt"}, limit: 1, measure: worst("ns/op")},
	}, p), `
| what | to reach | gcnode-group |
| --- | --- | --- |
| allocations | 0 | 0 ✓ |
| time ÷ otter's | ≤ 0.9 | 0.50 ✓ |
| with two | ≤ 0.9 | 1 ✗ |
| the worst | ≤ 0.9 | 1 ✗ |
| times as fast | ≥ 2 | 2 ✓ |
| beside nobody | ≤ 1 | – |
| elsewhere | ≤ 1 | – |
`)
}

func TestMoving(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": `
BenchmarkHit/impl=compat-2 1 20 ns/op 1 allocs/op
BenchmarkHit/impl=gcnode-group-2 1 10 ns/op 0 allocs/op
BenchmarkHit/impl=golang-groupcache-2 1 50 ns/op 2 allocs/op
`})
	file := []string{"hit.txt"}
	assert.Contains(t, written(t, moving{
		{goal{what: "times as fast", reach: "≥ 2", files: file, limit: 2, atLeast: true, measure: timesFaster(groupcache, nsPerOp)}, "gcnode-group"},
		{goal{what: "allocations", reach: "≤ 0", files: file, measure: worst(allocs)}, "gcnode-group"},
		{goal{what: "to compare with", files: file, measure: worst(nsPerOp)}, "gcnode-group"},
		{goal{what: "elsewhere", reach: "≥ 1", files: []string{"none.txt"}, measure: worst(nsPerOp)}, stream},
	}, p), `
| beside golang/groupcache | to reach | through compat/mailgun | through the API of gcnode |
| --- | --- | --- | --- |
| times as fast | ≥ 2 | 2.50 ✓ | 5 |
| allocations | ≤ 0 | 1 ✗ | 0 |
| to compare with | – | 20 | 10 |
| elsewhere | ≥ 1 | – | – |
`)
}

func TestGoalsOfOne(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": `
BenchmarkHit/impl=otter-2 1 10 ns/op
BenchmarkHit/impl=gcnode-a-2 1 15 ns/op
BenchmarkHit/impl=gcnode-b-2 1 20 ns/op
`})
	time := against("otter", "ns/op")
	assert.Contains(t, written(t, goals{
		{what: "of a", reach: "≤ 1", of: "gcnode-a", files: []string{"hit.txt"}, limit: 1, fixed: true, measure: time},
		{what: "of nobody", files: []string{"hit.txt"}, fixed: true, measure: time},
	}, p), `
| what | to reach | gcnode-a | gcnode-b |
| --- | --- | --- | --- |
| of a | ≤ 1 | 1.50 ✗ | 2 |
| of nobody | – | 1.50 | 2 |

Medians over the rounds; a ratio is formed in each round, from two figures of the same run. ✓ is reached, ✗ is not, – was not measured. What has neither mark is there to compare with.
`)
}

// TestPieces compares values of one size with those of another, and sums.
func TestPieces(t *testing.T) {
	p := newPlace(t, map[string]string{piecesFile: `
BenchmarkX/callers=1/size=8MiB/impl=gcnode-nats-2 1 60 MB/s 3 client-allocs/op 4 server-allocs/op
BenchmarkX/callers=4/size=8MiB/impl=gcnode-nats-2 1 10 MB/s
BenchmarkX/callers=1/size=1MiB/impl=gcnode-nats-2 1 50 MB/s
BenchmarkX/callers=1/size=1MiB/impl=nats-2 1 80 MB/s 6 client-allocs/op 8 server-allocs/op
BenchmarkX/callers=4/size=1MiB/impl=nats-2 1 40 MB/s
`})
	d, err := read(p.results, []string{piecesFile})
	require.NoError(t, err)
	for callers, want := range map[string]float64{"1": 0.75, "4": 0.25} {
		got, ok := pieceByPiece(callers)(d, overNATS)
		assert.True(t, ok)
		assert.InDelta(t, want, got, 0, callers)
	}
	got, ok := compare([]label{{implKey, plainNATS}, {"size", "1MiB"}}, []string{clientAllocs, serverAllocs}, label{"callers", "1"})(d, overNATS)
	assert.True(t, ok)
	assert.InDelta(t, 0.5, got, 0)
}

func TestLifeCost(t *testing.T) {
	p := newPlace(t, map[string]string{"hitttl.txt": `
BenchmarkHitTTL/keys=1/goroutines=1/impl=gcnode-group/ttl=none-2 1 10 ns/op
BenchmarkHitTTL/keys=1/goroutines=1/impl=gcnode-group/ttl=1h-2 1 11 ns/op
BenchmarkHitTTL/keys=2/goroutines=1/impl=gcnode-group/ttl=none-2 1 20 ns/op
BenchmarkHitTTL/keys=2/goroutines=1/impl=gcnode-group/ttl=1h-2 1 30 ns/op
`})
	d, err := read(p.results, []string{"hitttl.txt"})
	require.NoError(t, err)
	v, ok := lifeCost(d, "gcnode-group")
	require.True(t, ok)
	assert.InDelta(t, 1.5, v, 1e-9)
}

const replays = `
BenchmarkPolicy/trace=a/capacity=10/impl=optimum-2 1 90 hit%
BenchmarkPolicy/trace=a/capacity=10/impl=LRU-2 1 50 hit%
BenchmarkPolicy/trace=a/capacity=20/impl=optimum-2 1 95 hit%
BenchmarkPolicy/trace=a/capacity=20/impl=LRU-2 1 80 hit%
BenchmarkRatio/trace=a/capacity=10/impl=gcnode-group-2 1 60 hit%
BenchmarkRatio/trace=a/capacity=20/impl=gcnode-group-2 1 77 hit%
`

func TestDistances(t *testing.T) {
	p := newPlace(t, map[string]string{"ratio.txt": replays})
	files := []string{"ratio.txt"}
	assert.Equal(t, `
| points | mean distance to the best | largest | most under LRU |
| --- | --- | --- | --- |
| gcnode-group | 1.50 | 3.0 | 3.0 |
| LRU | 5.00 | 10.0 | 0.0 |

Over 2 pairs of trace and capacity: `+"`go test -bench=X .`\n\n", written(t, distances{files}, p))
	assert.Contains(t, written(t, table{
		files: files, rows: []string{"trace", "capacity"}, columns: []string{"impl"}, units: []string{"hit%"}, fixed: true, best: true,
	}, p), "| a, capacity 10 | 90 | 50 | **60** |\n| a, capacity 20 | 95 | **80** | 77 |\n")
}

func TestFigure(t *testing.T) {
	p := newPlace(t, map[string]string{"hit.txt": hits(6)})
	f := figure{
		files: []string{"hit.txt"}, name: "hits.svg", title: "Time of a hit", panel: "keys", x: "goroutines",
		unit: "ns/op", yLog: true, xLabel: "goroutines", yLabel: "ns",
	}
	assert.Equal(t, "\n![Time of a hit](plots/hits.svg)\n\n", written(t, f, p))
	path := filepath.Join(p.dir, "plots", "hits.svg")
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, text := range []string{"Time of a hit", "gcnode-group", "otter", "keys 10", "goroutines"} {
		assert.Contains(t, string(first), ">"+text+"<")
	}
	written(t, f, p)
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, first, second, "the same every time")
}

func TestRewrite(t *testing.T) {
	p := newPlace(t, map[string]string{"ratio.txt": replays})
	document := filepath.Join(p.dir, "doc.md")
	write := func(text string) { require.NoError(t, os.WriteFile(document, []byte(text), 0o600)) }
	parts := map[string]part{"distance": distances{[]string{"ratio.txt"}}}

	write("# Title\n<!-- generated distance -->\n| edited | by hand |\n<!-- end -->\nText.\n")
	require.NoError(t, rewrite(document, p.results, parts))
	once, err := os.ReadFile(document)
	require.NoError(t, err)
	assert.NotContains(t, string(once), "by hand")
	assert.True(t, strings.HasPrefix(string(once), "# Title\n<!-- generated distance -->\n\n| points |"))
	assert.True(t, strings.HasSuffix(string(once), "\n<!-- end -->\nText.\n"))
	require.NoError(t, rewrite(document, p.results, parts))
	again, err := os.ReadFile(document)
	require.NoError(t, err)
	assert.Equal(t, string(once), string(again))

	write("<!-- generated nothing -->\n<!-- end -->\n")
	require.ErrorContains(t, rewrite(document, p.results, parts), `there is no part "nothing"`)
	write("<!-- generated distance -->\nand no more\n")
	require.ErrorContains(t, rewrite(document, p.results, parts), "has no")
}

func TestResultsNeedACommand(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hit.txt"), []byte("BenchmarkHit/impl=map-2 1 1 ns/op\n"), 0o600))
	_, err := read(dir, []string{"hit.txt"})
	require.ErrorContains(t, err, "command")
}

// TestDocument holds the document and the report to having the same parts.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/benchmarks.md")
	require.NoError(t, err)
	for name := range report() {
		assert.Equal(t, 1, strings.Count(string(text), opening+name+closing), name)
	}
	assert.Equal(t, len(report()), strings.Count(string(text), opening))
}

func TestMeasuresOfGuests(t *testing.T) {
	p := newPlace(t, map[string]string{"f.txt": strings.Repeat(`BenchmarkF/work=a/impl=gcnode-c-2 1 1 fuel/plain
BenchmarkF/work=b/impl=gcnode-c-2 1 4 fuel/plain
BenchmarkF/work=a/impl=gcnode-go-2 1 3 fuel/plain
`, 6)})
	d, err := read(p.results, []string{"f.txt"})
	require.NoError(t, err)
	mean, ok := meanFuelCost(d, "gcnode-c")
	assert.True(t, ok)
	assert.InDelta(t, 2, mean, 1e-9)
	_, ok = meanFuelCost(d, "gcnode-rust")
	assert.False(t, ok)
	_, ok = only(meanFuelCost, "gcnode-c")(d, "gcnode-go")
	assert.False(t, ok)
	v, ok := only(worst(fuelCost), "gcnode-go")(d, "gcnode-go")
	assert.True(t, ok)
	assert.InDelta(t, 3, v, 0)
}
