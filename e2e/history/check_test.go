package history_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

const key = "k"

func load(node, value string, begun, ended int64) history.Load {
	return history.Load{Node: node, Key: key, Value: value, Begun: begun, Ended: ended, EndedAt: time.Duration(ended)}
}

func op(id int, kind history.Kind, node string, begun, ended int64, value string) history.Op {
	o := history.Op{
		ID: id, Kind: kind, Node: node, Begun: begun, Ended: ended, Value: value,
		BegunAt: time.Duration(begun), EndedAt: time.Duration(ended),
	}
	if kind != history.Clear {
		o.Keys = []string{key}
	}
	return o
}

func failed(o history.Op) history.Op { o.Failed = "n2 did not confirm"; return o }
func lost(o history.Op) history.Op   { o.Lost = true; return o }
func late(o history.Op) history.Op   { o.Late = true; return o }

func TestCheck(t *testing.T) {
	old, fresh := load("n1", "old", 1, 2), load("n1", "new", 12, 13)
	fresh.Version = 1
	remove := op(1, history.Remove, "n2", 10, 11, "")
	set := op(2, history.Set, "n2", 10, 11, history.SetValue(2))
	tests := map[string]struct {
		loads []history.Load
		ops   []history.Op
		rules history.Rules
		want  string // the guarantee that is broken; empty: none
	}{
		"a get after a removal gets what was loaded afterwards": {
			loads: []history.Load{old, fresh}, ops: []history.Op{remove, op(3, history.Get, "n1", 12, 14, "new")},
		},
		"a get after a removal gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{remove, op(3, history.Get, "n1", 12, 14, "old")}, want: "removal",
		},
		"a get at the same time as a removal gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{remove, op(3, history.Get, "n1", 11, 14, "old")},
		},
		"a get after a failed removal gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{failed(remove), op(3, history.Get, "n1", 12, 14, "old")},
		},
		"a get long after a failed removal gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{failed(remove), late(op(3, history.Get, "n1", 12, 14, "old"))}, want: "bounded staleness",
		},
		"a get long after a removal that nobody knows of gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{lost(failed(remove)), late(op(3, history.Get, "n1", 12, 14, "old"))},
		},
		"a get after a clear gets the older value": {
			loads: []history.Load{old}, ops: []history.Op{op(1, history.Clear, "n2", 10, 11, ""), op(3, history.Get, "n1", 12, 14, "old")}, want: "removal",
		},
		"a get after a set gets its value": {
			ops: []history.Op{set, op(3, history.Get, "n1", 12, 14, history.SetValue(2))},
		},
		"a get after a set gets an older load": {
			loads: []history.Load{old}, ops: []history.Op{set, op(3, history.Get, "n1", 12, 14, "old")}, want: "removal",
		},
		"a get after a set gets an older set": {
			ops:  []history.Op{op(1, history.Set, "n1", 1, 2, history.SetValue(1)), set, op(3, history.Get, "n1", 12, 14, history.SetValue(1))},
			want: "removal",
		},
		"a get after a set gets one that was called at the same time": {
			ops: []history.Op{op(1, history.Set, "n1", 9, 10, history.SetValue(1)), set, op(3, history.Get, "n1", 12, 14, history.SetValue(1))},
		},
		"a get after a removal gets what was set before": {
			ops:  []history.Op{op(2, history.Set, "n1", 1, 2, history.SetValue(2)), remove, op(3, history.Get, "n1", 12, 14, history.SetValue(2))},
			want: "removal",
		},
		"a get gets what nobody has loaded": {
			ops: []history.Op{op(3, history.Get, "n1", 12, 14, "made up")}, want: "integrity",
		},
		"a get gets another key's value": {
			loads: []history.Load{{Key: "other", Value: "v", Begun: 1, Ended: 2}}, ops: []history.Op{op(3, history.Get, "n1", 12, 14, "v")}, want: "integrity",
		},
		"a get gets a value from later": {
			loads: []history.Load{load("n1", "v", 20, 21)}, ops: []history.Op{op(3, history.Get, "n1", 12, 14, "v")}, want: "integrity",
		},
		"a get gets a value after its life": {
			loads: []history.Load{old}, ops: []history.Op{op(3, history.Get, "n1", 12, 14, "old")}, rules: history.Rules{TTL: 10}, want: "lifetime",
		},
		"a get gets a value at the end of its life": {
			loads: []history.Load{old}, ops: []history.Op{op(3, history.Get, "n1", 11, 14, "old")}, rules: history.Rules{TTL: 10},
		},
		"members disagree in the end": {
			loads: []history.Load{old, fresh}, want: "convergence",
			ops: []history.Op{late(op(3, history.Get, "n1", 20, 21, "old")), late(op(4, history.Get, "n2", 20, 21, "new"))},
		},
		"members have the same version from two loads in the end": {
			loads: []history.Load{{Key: key, Value: "a", Version: 1, Begun: 1, Ended: 2}, {Key: key, Value: "b", Version: 1, Begun: 3, Ended: 4}},
			ops:   []history.Op{late(op(3, history.Get, "n1", 20, 21, "a")), late(op(4, history.Get, "n2", 20, 21, "b"))},
		},
		"a key is loaded twice at a time": {
			loads: []history.Load{load("n1", "a", 1, 5), load("n1", "b", 3, 6)}, want: "one load",
		},
		"a key is loaded again when a removal has overtaken its load": {
			loads: []history.Load{load("n1", "a", 1, 5), load("n1", "b", 3, 6)}, ops: []history.Op{op(1, history.Remove, "n2", 2, 3, "")},
		},
		"a key is loaded on two nodes": {
			loads: []history.Load{load("n1", "a", 1, 5), load("n2", "b", 3, 6)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found := history.Check(&history.History{Ops: test.ops, Loads: test.loads}, test.rules)
			if test.want == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found)
			for _, v := range found {
				require.Equal(t, test.want, v.Guarantee, v)
			}
		})
	}
}

func TestAHistoryIsReadAsItWasWritten(t *testing.T) {
	want := &history.History{
		Loads: []history.Load{load("n1", history.LoadedValue("n1", 1, key, 2, 3), 1, 2)},
		Ops:   []history.Op{failed(op(1, history.Remove, "n2", 10, 11, "")), late(op(2, history.Clear, "n2", 12, 0, ""))},
	}
	var b bytes.Buffer
	require.NoError(t, want.Write(&b))
	got, err := history.Read(&b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = history.Read(strings.NewReader("no history"))
	require.ErrorContains(t, err, "read a history")
}

func TestCrossings(t *testing.T) {
	h := &history.History{
		Loads: []history.Load{load("n1", "a", 5, 10)},
		Ops: []history.Op{
			op(1, history.Remove, "n1", 1, 4, ""), op(2, history.Remove, "n1", 4, 6, ""),
			op(3, history.Clear, "n1", 6, 0, ""), op(4, history.Get, "n1", 6, 7, "a"),
		},
	}
	require.Equal(t, 2, h.Crossings())
}
