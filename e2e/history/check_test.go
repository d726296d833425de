package history_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// The histories of these tests are written with what follows. Members are a, b
// and c, and the key is k if it is not named.

func bounds() history.Bounds {
	return history.Bounds{Resolution: 5, Grace: 1000, Copy: 20, Heal: 500, Settle: 100, Remember: 8, Again: 50, Memory: 2000}
}

// record is a part of a history.
type record func(*history.History)

func load(id string, begin, end int64, with ...func(*history.Load)) record {
	return func(h *history.History) {
		l := history.Load{ID: id, Node: "a", Life: 1, Key: "k", Version: len(h.Loads) + 1, Begin: begin, End: end}
		for _, f := range with {
			f(&l)
		}
		h.Loads = append(h.Loads, l)
	}
}

func at(node string) func(*history.Load)   { return func(l *history.Load) { l.Node = node } }
func keep(life int64) func(*history.Load)  { return func(l *history.Load) { l.Keep = life } }
func ofKey(key string) func(*history.Load) { return func(l *history.Load) { l.Key = key } }
func since(at int64) func(*history.Load)   { return func(l *history.Load) { l.Since = at } }
func failing(l *history.Load)              { l.Failed = true }
func nothing(l *history.Load)              { l.NotFound = true }
func inLife(n int) func(*history.Op)       { return func(op *history.Op) { op.Life = n } }
func final(op *history.Op)                 { op.Final = true }
func excused(op *history.Op)               { op.Excused = true }
func life(keep int64) func(*history.Op)    { return func(op *history.Op) { op.Keep = keep } }
func without(ids ...string) func(*history.Op) {
	return func(op *history.Op) { op.Error, op.Unconfirmed = history.Unconfirmed, ids }
}
func gone(m map[string][]string) func(*history.Op) { return func(op *history.Op) { op.Gone = m } }
func failed(kind string) func(*history.Op)         { return func(op *history.Op) { op.Error = kind } }

func op(h *history.History, kind history.Kind, node string, start, end int64, with ...func(*history.Op)) *history.Op {
	o := history.Op{ID: len(h.Ops) + 1, Kind: kind, Node: node, Life: 1, Start: start, End: end}
	if kind != history.Clear {
		o.Keys = []string{"k"}
	}
	for _, f := range with {
		f(&o)
	}
	h.Ops = append(h.Ops, o)
	return &h.Ops[len(h.Ops)-1]
}

func remove(node string, start, end int64, with ...func(*history.Op)) record {
	return func(h *history.History) { op(h, history.Remove, node, start, end, with...) }
}

func clearAll(node string, start, end int64, with ...func(*history.Op)) record {
	return func(h *history.History) { op(h, history.Clear, node, start, end, with...) }
}

// set writes the value that is called by its number in the history.
func set(node string, start, end int64, with ...func(*history.Op)) record {
	return func(h *history.History) {
		o := op(h, history.Set, node, start, end, with...)
		o.Value = history.Value{Key: "k", Set: o.ID}.String()
	}
}

// get returns what a load or a set has brought.
func get(node string, start, end int64, text string, with ...func(*history.Op)) record {
	return func(h *history.History) {
		o := op(h, history.Get, node, start, end, with...)
		o.Answers = []history.Answer{{Key: "k", End: end, Value: text, NotFound: strings.Contains(text, "nothing")}}
	}
}

func fails(node string, start, end int64, kind string, with ...func(*history.Op)) record {
	return func(h *history.History) {
		o := op(h, history.Get, node, start, end, with...)
		o.Answers = []history.Answer{{Key: "k", End: end, Error: kind}}
	}
}

func loaded(id string, version int, begin int64) string {
	return history.Value{Key: "k", Load: id, Version: version, Begin: begin}.String()
}

func written(id int) string { return history.Value{Key: "k", Set: id}.String() }

func event(what string, at int64, node string, n int, members ...string) record {
	return func(h *history.History) {
		h.Events = append(h.Events, history.Event{At: at, What: what, Node: node, Life: n, Members: members})
	}
}

// list is the start of a life with a list.
func list(at int64, node string, n int, members ...string) record {
	return func(h *history.History) {
		event(history.Up, at, node, n)(h)
		event(history.List, at+1, node, n, members...)(h)
	}
}

func three(h *history.History) {
	for _, node := range []string{"a", "b", "c"} {
		list(-5000, node, 1, "a", "b", "c")(h)
	}
}

func hedged(h *history.History) { h.Bounds.Hedged = true }

func build(records ...record) *history.History {
	h := &history.History{Bounds: bounds()}
	for _, r := range records {
		r(h)
	}
	return h
}

func TestGoodHistories(t *testing.T) {
	t.Parallel()
	old := load("L1", 10, 20)
	for name, h := range map[string]*history.History{
		"nothing happened":                    build(),
		"a value is served":                   build(three, old, get("b", 5, 21, loaded("L1", 1, 10)), get("c", 30, 31, loaded("L1", 1, 10))),
		"a read begins before a removal ends": build(three, old, remove("a", 30, 40), get("b", 40, 41, loaded("L1", 1, 10))),
		"a load begins during a removal":      build(three, load("L1", 35, 50), remove("a", 30, 40), get("b", 41, 51, loaded("L1", 1, 35))),
		"a load begins with a removal":        build(three, load("L1", 30, 50), remove("a", 30, 40), get("b", 41, 51, loaded("L1", 1, 30))),
		"a set overtakes a removal":           build(three, set("a", 10, 30), remove("a", 20, 40), get("b", 41, 51, written(1))),
		"a set that failed may come later":    build(three, set("a", 10, 30, without("c")), remove("a", 40, 50), get("b", 61, 62, written(1))),
		"of two concurrent sets one wins":     build(three, set("a", 10, 30), set("b", 20, 40), get("c", 41, 42, written(1)), get("a", 43, 44, written(1))),
		"a load comes after a set":            build(three, set("a", 10, 30), load("L1", 15, 40), get("c", 50, 55, loaded("L1", 1, 15))),
		"a removal that was refused":          build(three, old, remove("a", 30, 40, failed(history.Refused)), get("b", 50, 51, loaded("L1", 1, 10))),
		"a removal of another key": build(three, old, func(h *history.History) {
			op(h, history.Remove, "a", 30, 40).Keys = []string{"other"}
		}, get("b", 50, 51, loaded("L1", 1, 10))),
		"a member that nobody knew": build(
			list(-5000, "a", 1, "a", "b"), list(-5000, "b", 1, "a", "b"), list(-5000, "c", 1, "a", "b", "c"),
			load("L1", 10, 20, at("c")), remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10))),
		"a member that left long ago": build(
			three, event(history.List, -2000, "a", 1, "a", "b"), event(history.List, -2000, "b", 1, "a", "b"),
			load("L1", 10, 20, at("c")), remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10))),
		"the member that has not confirmed": build(three, load("L1", 10, 20, at("c")), remove("a", 30, 40, without("c")), get("c", 50, 51, loaded("L1", 1, 10))),
		"soon after it is healed": build(three, load("L1", 10, 20, at("c")), event(history.Fault, 25, "", 0), remove("a", 30, 40, without("c")),
			event(history.Healed, 2900, "", 0), get("c", 3000, 3001, loaded("L1", 1, 10))),
		"the remover crashed": build(three, load("L1", 10, 20, at("c")), remove("a", 30, 40, without("c")), event(history.Down, 100, "a", 1),
			get("c", 5000, 5001, loaded("L1", 1, 10))),
		"the remover crashed meanwhile": build(three, old, remove("a", 30, 0), event(history.Down, 40, "a", 1), get("c", 5000, 5001, loaded("L1", 1, 10))),
		"a value within its life":       build(three, load("L1", 10, 20, keep(100)), get("b", 125, 130, loaded("L1", 1, 10))),
		"a set value within its life":   build(three, set("a", 10, 20, life(100)), get("b", 125, 130, written(1))),
		"not found":                     build(three, load("nothing", 10, 20, nothing), get("b", 30, 31, loaded("nothing", 1, 10))),
		"all agree":                     build(three, old, get("a", 100, 101, loaded("L1", 1, 10), final), get("b", 102, 103, loaded("L1", 1, 10), final)),
		"one reloads in the end": build(three, old, load("L2", 102, 103, at("b")), get("a", 100, 101, loaded("L1", 1, 10), final),
			get("b", 102, 103, loaded("L2", 2, 102), final), get("a", 123, 124, loaded("L1", 1, 10), final)),
		"two loads, one after the other":                 build(three, old, load("L2", 20, 40)),
		"two loads of two keys":                          build(three, old, load("L2", 15, 40, ofKey("other"))),
		"two loads, overtaken":                           build(three, old, remove("b", 12, 14), load("L2", 15, 40)),
		"two loads, overtaken again":                     build(three, remove("b", 1, 2), old, load("L2", 15, 40)),
		"two loads, overtaken by a clear":                build(three, old, clearAll("b", 12, 14), load("L2", 15, 40)),
		"two loads, the flight of one of them overtaken": build(three, remove("b", 6, 8), load("L1", 10, 20), load("L2", 15, 40, since(5))),
		"a member that is gone": build(three, load("L1", 10, 20, at("c")), event(history.Closed, 5, "c", 1), list(9, "c", 2, "a", "b", "c"),
			remove("a", 30, 40, gone(map[string][]string{"a": {"c"}, "b": {"c"}})), get("c", 50, 51, loaded("L1", 1, 10), inLife(2))),
		"two loads after a change of the list":        build(three, event(history.List, 12, "a", 1, "a", "b"), old, load("L2", 15, 40)),
		"two loads of two lives":                      build(three, load("L1", 10, 0), event(history.Down, 12, "a", 1), list(13, "a", 2, "a", "b", "c"), load("L2", 15, 40, func(l *history.Load) { l.Life = 2 })),
		"two loads on two members during a fault":     build(three, event(history.Fault, 5, "", 0), old, load("L2", 15, 40, at("b"))),
		"two loads on two members soon after a fault": build(three, event(history.Fault, 4, "", 0), event(history.Healed, 5, "", 0), old, load("L2", 15, 40, at("b"))),
		"an excused error":                            build(three, fails("a", 10, 20, "timeout", excused)),
		"what is outside the assumptions":             build(three, event(history.Outside, 0, "", 0), old, remove("a", 30, 40), get("b", 50, 51, loaded("L1", 1, 10))),
		"two loads, hedged":                           build(three, hedged, old, load("L2", 15, 40, at("b"))),
		"one goes back in the end, hedged": build(three, hedged, old, load("L2", 102, 103, at("b")),
			get("b", 102, 103, loaded("L2", 2, 102), final), get("a", 124, 125, loaded("L1", 1, 10), final)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, history.Check(h).Violations)
		})
	}
}

func TestBadHistories(t *testing.T) {
	t.Parallel()
	old := load("L1", 10, 20)
	stale := get("b", 50, 51, loaded("L1", 1, 10))
	for name, bad := range map[string]struct {
		rule string
		h    *history.History
	}{
		"stale after a removal":          {history.RuleBarrier, build(three, old, remove("a", 30, 40), stale)},
		"stale on the remover":           {history.RuleBarrier, build(three, old, remove("a", 30, 40), get("a", 50, 51, loaded("L1", 1, 10)))},
		"stale without lists":            {history.RuleBarrier, build(old, remove("a", 30, 40), stale)},
		"a load that a removal overtook": {history.RuleBarrier, build(three, load("L1", 29, 60), remove("a", 30, 40), get("b", 41, 61, loaded("L1", 1, 29)))},
		"stale after a clear":            {history.RuleBarrier, build(three, old, clearAll("a", 30, 40), stale)},
		"stale in a batch": {history.RuleBarrier, build(three, old, remove("a", 30, 40), func(h *history.History) {
			o := op(h, history.GetMany, "c", 50, 60)
			o.Keys = []string{"other", "k"}
			o.Answers = []history.Answer{{Key: "k", End: 55, Value: loaded("L1", 1, 10)}}
		})},
		"stale after a removal of several keys": {history.RuleBarrier, build(three, old, func(h *history.History) {
			op(h, history.Remove, "a", 30, 40).Keys = []string{"other", "k"}
		}, stale)},
		"a stale not found":            {history.RuleBarrier, build(three, load("nothing", 10, 20, nothing), remove("a", 30, 40), get("b", 50, 51, loaded("nothing", 1, 10)))},
		"a set value that was removed": {history.RuleBarrier, build(three, set("a", 10, 20), remove("b", 30, 40), get("c", 50, 51, written(1)))},
		"the first of two removals":    {history.RuleBarrier, build(three, load("L1", 10, 200), remove("a", 30, 40), remove("b", 210, 0), get("c", 300, 301, loaded("L1", 1, 10)))},
		"stale on a member that only others knew": {history.RuleBarrier, build(
			list(-5000, "a", 1, "a", "b"), list(-5000, "b", 1, "a", "b", "c"), list(-5000, "c", 1, "a", "b", "c"),
			old, remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10)))},
		"stale on a member that left a short time ago": {history.RuleBarrier, build(
			three, event(history.List, -500, "a", 1, "a", "b"), event(history.List, -500, "b", 1, "a", "b"),
			old, remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10)))},
		"stale on a member that has started since": {history.RuleBarrier, build(
			three, event(history.Down, 32, "c", 1), list(35, "c", 2, "a", "b", "c"),
			old, remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10), inLife(2)))},
		"stale on a new member": {history.RuleBarrier, build(
			three, list(45, "d", 1, "a", "b", "c", "d"), old, remove("a", 30, 40), get("d", 50, 51, loaded("L1", 1, 10)))},
		"stale on one that is gone for the remover alone": {history.RuleBarrier, build(three, old, remove("a", 30, 40, gone(map[string][]string{"a": {"c"}})), get("c", 50, 51, loaded("L1", 1, 10)))},
		"two loads, the flights of both after a removal":  {history.RuleOneLoad, build(three, remove("b", 1, 9), old, load("L2", 16, 40, since(10)))},
		"a set is lost":                 {history.RuleLostWrite, build(three, old, set("a", 30, 40), stale)},
		"a load replaces a set":         {history.RuleLostWrite, build(three, load("L1", 10, 60), set("a", 30, 40), get("b", 70, 71, loaded("L1", 1, 10)))},
		"an older set":                  {history.RuleLostWrite, build(three, set("a", 10, 20), set("b", 30, 40), get("c", 50, 51, written(1)))},
		"those who obeyed go back":      {history.RuleObeyed, build(three, old, remove("a", 30, 40, without("c")), stale)},
		"it never heals":                {history.RuleHeal, build(three, old, event(history.Fault, 25, "", 0), remove("a", 30, 40, without("c")), event(history.Healed, 2900, "", 0), get("c", 3401, 3402, loaded("L1", 1, 10)))},
		"a set that failed never heals": {history.RuleHeal, build(three, old, event(history.Fault, 25, "", 0), set("a", 30, 40, without("c")), event(history.Healed, 2900, "", 0), get("c", 3401, 3402, loaded("L1", 1, 10)))},
		"two members disagree":          {history.RuleConvergence, build(three, set("a", 1, 30), set("b", 2, 31), get("a", 100, 101, written(1), final), get("b", 102, 103, written(2), final))},
		"one goes back in the end": {history.RuleConvergence, build(three, old, load("L2", 102, 103, at("b")),
			get("b", 102, 103, loaded("L2", 2, 102), final), get("a", 124, 125, loaded("L1", 1, 10), final))},
		"two loads":                           {history.RuleOneLoad, build(three, old, load("L2", 15, 40))},
		"two loads, one never ends":           {history.RuleOneLoad, build(three, load("L1", 10, 0), load("L2", 15, 40))},
		"two loads soon after a removal":      {history.RuleOneLoad, build(three, remove("b", 1, 9), old, load("L2", 16, 40))},
		"two loads long after a removal":      {history.RuleOneLoad, build(three, remove("b", -60, -50), old, load("L2", 15, 40))},
		"two loads, removed before the first": {history.RuleOneLoad, build(three, load("L1", 100, 200), remove("b", 1, 2), load("L2", 150, 400))},
		"two loads on two members":            {history.RuleOneLoadOfAll, build(three, old, load("L2", 15, 40, at("b")))},
		"served after its life":               {history.RuleLifetime, build(three, load("L1", 10, 20, keep(100)), get("b", 126, 130, loaded("L1", 1, 10)))},
		"a set value after its life":          {history.RuleLifetime, build(three, set("a", 10, 20, life(100)), get("b", 126, 130, written(1)))},
		"a set value that must not be kept":   {history.RuleLifetime, build(three, set("a", 10, 20, life(-10)), get("b", 126, 130, written(1)))},
		"another key's value":                 {history.RuleOrigin, build(three, old, func(h *history.History) { h.Loads[0].Key = "k" }, get("b", 30, 31, history.Value{Key: "other", Load: "L1", Version: 1, Begin: 10}.String()))},
		"a value that nobody loaded":          {history.RuleOrigin, build(three, get("b", 30, 31, loaded("L1", 1, 10)))},
		"a value that nobody set":             {history.RuleOrigin, build(three, get("b", 30, 31, written(7)))},
		"a value of a load that failed":       {history.RuleOrigin, build(three, load("L1", 10, 20, failing), get("b", 30, 31, loaded("L1", 1, 10)))},
		"not found of a load with a value": {history.RuleOrigin, build(three, old, func(h *history.History) {
			op(h, history.Get, "b", 30, 31).Answers = []history.Answer{{Key: "k", End: 31, Value: loaded("L1", 1, 10), NotFound: true}}
		})},
		"another version":               {history.RuleOrigin, build(three, old, get("b", 30, 31, loaded("L1", 2, 10)))},
		"a value from the future":       {history.RuleOrigin, build(three, load("L1", 35, 40), get("b", 30, 31, loaded("L1", 1, 35)))},
		"a set from the future":         {history.RuleOrigin, build(three, set("a", 35, 40), get("b", 30, 31, written(1)))},
		"a set that was refused":        {history.RuleOrigin, build(three, set("a", 10, 20, failed(history.Refused)), get("b", 30, 31, written(1)))},
		"bytes that nobody wrote":       {history.RuleOrigin, build(three, get("b", 30, 31, "garbage"))},
		"an empty value":                {history.RuleOrigin, build(three, get("b", 30, 31, ""))},
		"an answer to another question": {history.RuleOrigin, build(three, old, get("b", 30, 31, loaded("L1", 1, 10), func(o *history.Op) { o.Keys = []string{"other"} }))},
		"a read that fails":             {history.RuleErrors, build(three, fails("a", 10, 20, "unreachable"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			violations := history.Check(bad.h).Violations
			require.NotEmpty(t, violations)
			for _, v := range violations {
				assert.Equal(t, bad.rule, v.Rule, v.Text)
			}
		})
	}
}

func TestWhatIsNotJudgedIsCounted(t *testing.T) {
	t.Parallel()
	outside := history.Check(build(func(h *history.History) {
		h.Events = append(h.Events, history.Event{What: history.Outside, Detail: "the origin lags"})
	}))
	assert.Equal(t, map[string]int{"outside the assumptions: the origin lags": 1}, outside.Unjudged)
	for name, h := range map[string]*history.History{
		"on nobody's list": build(
			list(-5000, "a", 1, "a", "b"), list(-5000, "b", 1, "a", "b"), list(-5000, "c", 1, "a", "b", "c"),
			load("L1", 10, 20, at("c")), remove("a", 30, 40), get("c", 50, 51, loaded("L1", 1, 10))),
		"started since, with one on its list that was on nobody's": build(
			list(-5000, "a", 1, "a"), list(-5000, "b", 1, "a", "b"), load("L1", 10, 20, at("b")), remove("a", 30, 40),
			event(history.Down, 42, "a", 1), list(45, "a", 2, "a", "b"), get("a", 50, 51, loaded("L1", 1, 10), inLife(2))),
	} {
		unreached := history.Check(h)
		assert.Len(t, unreached.Unjudged, 1, name)
		assert.Zero(t, unreached.Judged[history.RuleBarrier], name)
		assert.Contains(t, unreached.String(), "not judged, read on a member that the write did not reach: 1", name)
	}
}

func TestAHistoryIsTheSameAfterWritingAndReading(t *testing.T) {
	t.Parallel()
	h := build(three, load("L1", 10, 20, keep(7), at("b")), remove("a", 5, 6, without("c")), set("a", 7, 8, life(3)),
		get("b", 9, 21, loaded("L1", 1, 10), final, excused), fails("c", 9, 10, "timeout"), clearAll("c", 1, 0))
	h.Name = "seed 7"
	var text bytes.Buffer
	require.NoError(t, h.Write(&text))
	again, err := history.Read(bytes.NewReader(text.Bytes()))
	require.NoError(t, err)
	assert.Equal(t, h, again)
	var second bytes.Buffer
	require.NoError(t, again.Write(&second))
	assert.Equal(t, text.String(), second.String())
	assert.Equal(t, 1+len(h.Ops)+len(h.Loads)+len(h.Events), strings.Count(text.String(), "\n"))

	path, err := h.Keep()
	require.NoError(t, err)
	defer os.Remove(path)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, text.String(), string(kept))

	_, err = history.Read(strings.NewReader("{\"op\":{}}\n{}\n"))
	require.ErrorContains(t, err, "record 2")
	_, err = history.Read(strings.NewReader("{\"op\":{\"colour\":1}}\n"))
	require.ErrorContains(t, err, "record 1")
}

func TestValuesSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"k", "", "a b", "\x00\xff", `"`, "/../%2F+"} {
		for _, v := range []history.Value{{Key: key, Load: `a/1 "x" #2`, Version: 3, Begin: 99}, {Key: key, Set: 12}} {
			for _, text := range []string{v.String(), v.String() + " " + strings.Repeat("x", 100)} {
				parsed, err := history.ParseValue(text)
				require.NoError(t, err)
				assert.Equal(t, v, parsed)
			}
		}
	}
	for _, text := range []string{"", "load", `load "k"`, `load "k" 1`, `load "k" 1 2`, `load "k" 1 2 ""`, `load "k" x 2 "a"`, `set "k"`, `set "k" x`, `other "k" 1`} {
		_, err := history.ParseValue(text)
		require.Error(t, err, text)
	}
}

func TestARecorderKeepsTimesApart(t *testing.T) {
	t.Parallel()
	r := history.NewRecorder("r", bounds(), nil)
	r.Event(history.Event{What: history.Note})
	id := r.Begin(history.Op{Kind: history.Set, Node: "a", Keys: []string{"k"}}, func(id int) string {
		return history.Value{Key: "k", Set: id}.String()
	})
	begin := r.BeginLoad(history.Load{ID: "L1", Node: "a", Key: "k"})
	r.EndLoad("L1", func(l *history.Load) { l.Version = 3 })
	open := r.Begin(history.Op{Kind: history.Get, Node: "b", Keys: []string{"k"}}, nil)
	r.Answer(open, history.Answer{Key: "k", Value: "x"})
	r.End(id, func(op *history.Op) { op.Error = history.Unconfirmed })
	r.End(id, nil)     // for a second time, without effect
	r.EndLoad("", nil) // nor this
	h := r.History()
	require.Len(t, h.Ops, 2)
	require.Len(t, h.Loads, 1)
	times := []int64{
		h.Events[0].At, h.Ops[0].Start, h.Loads[0].Begin, h.Loads[0].End, h.Ops[1].Start, h.Ops[1].Answers[0].End, h.Ops[0].End, r.Now(),
	}
	assert.True(t, slices.IsSorted(times))
	assert.Len(t, slices.Compact(times), 8)
	assert.Equal(t, begin, h.Loads[0].Begin)
	assert.Equal(t, written(id), h.Ops[0].Value)
	assert.Equal(t, history.Unconfirmed, h.Ops[0].Error)
	assert.Equal(t, 3, h.Loads[0].Version)
	assert.Zero(t, h.Ops[1].End)
}
