package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gcnode/gcnode/e2e/history"
)

// traffic is what clients do.
type traffic struct {
	clients   int
	keys      []string // that they read
	written   []string // that they read and change
	changes   int      // of 100 operations
	uncleared bool     // no change is to all keys
	pick      func(n int) int
}

// someKeys are names of keys.
func someKeys(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
	}
	return keys
}

// start lets the clients begin, and returns what ends them.
func (w *world) start(t *testing.T, traffic traffic) (stop func()) {
	t.Helper()
	w.traffic = traffic
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range traffic.clients {
		running.Go(func() {
			pause := time.NewTicker(5 * time.Millisecond)
			defer pause.Stop()
			for ctx.Err() == nil {
				w.act(ctx, i, traffic)
				select {
				case <-ctx.Done():
				case <-pause.C:
				}
			}
		})
	}
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// act does one of the things that a client does.
func (w *world) act(ctx context.Context, client int, traffic traffic) {
	nodes := w.asked()
	n := nodes[rand.IntN(len(nodes))]
	if rand.IntN(100) < traffic.changes && len(traffic.written) > 0 {
		keys := traffic.written
		at := rand.IntN(len(keys))
		switch what := rand.IntN(20); {
		case what < 9:
			w.remove(ctx, n, client, keys[at:min(at+1+rand.IntN(3), len(keys))]...)
		case what < 18 || traffic.uncleared:
			w.set(ctx, n, client, keys[at])
		default:
			w.clear(ctx, n, client, slices.Concat(traffic.keys, keys))
		}
		return
	}
	all := traffic.written
	if rand.IntN(2) == 0 || len(all) == 0 {
		all = traffic.keys
	}
	if len(all) == 0 {
		all = traffic.written
	}
	pick := traffic.pick
	if pick == nil {
		pick = rand.IntN
	}
	if rand.IntN(10) == 0 {
		keys := map[string]bool{}
		for range 5 {
			keys[all[pick(len(all))]] = true
		}
		w.readMany(ctx, n, client, keys)
		return
	}
	w.get(ctx, n, history.Op{Client: client}, all[pick(len(all))])
}

// begin records that a client asks a node.
func (w *world) begin(n *node, op history.Op, name func(id int) string) int {
	op.Node, op.Life = n.id, w.life(n)
	w.mu.Lock()
	w.asking[n.id]++
	w.mu.Unlock()
	return w.rec.Begin(op, name)
}

// end records that it has answered, or failed to.
func (w *world) end(n *node, id int, finish func(*history.Op)) {
	w.rec.End(id, finish)
	w.answered(n)
}

// answered counts a request that is not under way any more.
func (w *world) answered(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asking[n.id]--
}

// excuse marks a read whose failure says nothing about the cluster: the node
// was killed, stood still, did not take requests any more, or the test has
// ended.
func (w *world) excuse(ctx context.Context, err error) func(*history.Op) {
	return func(op *history.Op) {
		w.mu.Lock()
		defer w.mu.Unlock()
		op.Excused = op.Start < w.still[op.Node] ||
			err != nil && (ctx.Err() != nil || errors.Is(err, syscall.ECONNREFUSED) || op.Life <= w.killed[op.Node])
		if op.Excused && err != nil && ctx.Err() == nil {
			w.met["reads that met a closed door"]++
		}
	}
}

// read asks a node for a key as one of the clients would.
func (w *world) read(ctx context.Context, n *node, key string) answer {
	return w.get(ctx, n, history.Op{}, key)
}

// lastRead is read when nothing goes on any more.
func (w *world) lastRead(ctx context.Context, n *node, key string) answer {
	return w.get(ctx, n, history.Op{Final: true}, key)
}

func (w *world) get(ctx context.Context, n *node, op history.Op, key string) answer {
	op.Kind, op.Keys = history.Get, []string{key}
	id := w.begin(n, op, nil)
	begun := time.Now()
	got, err := do(ctx, http.MethodGet, n.valueURL("versions", key))
	a := history.Answer{Key: key, Value: got.body, Source: got.source}
	switch {
	case err != nil:
		a.Value, a.Error = "", err.Error()
	case got.status != http.StatusOK:
		a.Value, a.Error = "", fmt.Sprintf("%d %s", got.status, got.body)
	default:
		w.count("answers")
		w.timed(time.Since(begun))
	}
	w.rec.Answer(id, a)
	w.end(n, id, w.excuse(ctx, err))
	return got
}

// timed remembers how long the slowest answer took, in milliseconds.
func (w *world) timed(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met["slowest answer in ms"] = max(w.met["slowest answer in ms"], int(took.Milliseconds()))
}

// readMany asks for many keys at once.
func (w *world) readMany(ctx context.Context, n *node, client int, keys map[string]bool) {
	op := history.Op{Kind: history.GetMany, Client: client}
	for key := range keys {
		op.Keys = append(op.Keys, key)
	}
	id := w.begin(n, op, nil)
	failed := func(key, why string) { w.rec.Answer(id, history.Answer{Key: key, Error: why}) }
	resp, err := dispatch(ctx, http.MethodPost, n.groupURL("versions", "values"), "application/x-ndjson", listed(op.Keys))
	if err == nil {
		defer resp.Body.Close()
		lines := json.NewDecoder(bufio.NewReader(resp.Body))
		for err == nil {
			var l line
			if err = lines.Decode(&l); err != nil {
				break
			}
			delete(keys, string(l.Key))
			if l.Error.Kind != "" {
				failed(string(l.Key), l.Error.Message)
				continue
			}
			w.count("answers")
			w.rec.Answer(id, history.Answer{Key: string(l.Key), Value: string(l.Value)})
		}
	}
	if len(keys) == 0 {
		err = nil // the end of the answer
	}
	for key := range keys {
		failed(key, err.Error())
	}
	w.end(n, id, w.excuse(ctx, err))
	w.count("batches")
}

// remove removes keys, whose values are newer at the origin now.
func (w *world) remove(ctx context.Context, n *node, client int, keys ...string) *failure {
	w.origin.change(keys...)
	op := history.Op{Kind: history.Remove, Client: client, Keys: keys}
	return w.change(ctx, n, op, http.MethodPost, n.groupURL("versions", "removals"), func(history.Op) (string, string) { return "application/x-ndjson", listed(keys) })
}

// cross removes a key in the middle of a load of it, if there is one.
func (w *world) cross(ctx context.Context, n *node, client int, key string) {
	w.remove(ctx, n, client, key)
	loading, release := w.origin.hold(key)
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.read(ctx, n, key)
	}()
	select {
	case <-loading:
		w.remove(ctx, n, client, key)
	case <-read: // somebody else has loaded it, or set it
	}
	release()
	<-read
}

func (w *world) set(ctx context.Context, n *node, client int, key string) *failure {
	op := history.Op{Kind: history.Set, Client: client, Keys: []string{key}}
	return w.change(ctx, n, op, http.MethodPut, n.valueURL("versions", key), func(op history.Op) (string, string) { return "text/plain", op.Value })
}

func (w *world) clear(ctx context.Context, n *node, client int, keys []string) *failure {
	w.origin.change(keys...)
	op := history.Op{Kind: history.Clear, Client: client}
	return w.change(ctx, n, op, http.MethodDelete, n.groupURL("versions", "values?all=true"), func(history.Op) (string, string) { return "", "" })
}

// change does what changes values, and returns the failure that is its answer,
// if it is one.
func (w *world) change(ctx context.Context, n *node, op history.Op, method, address string, body func(history.Op) (contentType, text string)) *failure {
	name := func(id int) string {
		if op.Kind == history.Set {
			op.Value = history.Value{Key: op.Keys[0], Set: id}.String()
		}
		return op.Value
	}
	id := w.begin(n, op, name)
	w.count("changes")
	contentType, text := body(op)
	resp, err := dispatch(ctx, method, address, contentType, text)
	outcome, f := "", (*failure)(nil)
	var unconfirmed []string
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		outcome = history.Refused
	case err == nil && resp.StatusCode != http.StatusNoContent:
		outcome, f = failureOf(resp)
	}
	if err == nil {
		_ = resp.Body.Close() // nothing is read from it any more
	}
	if f != nil && outcome == history.Unconfirmed {
		for _, p := range f.Error.Peers {
			unconfirmed = append(unconfirmed, p.ID)
		}
	}
	if err != nil && outcome != history.Refused {
		// Nobody knows what has become of it, or will: it has not ended.
		w.answered(n)
		w.count("cut off " + string(op.Kind) + "s")
		return nil
	}
	w.end(n, id, func(op *history.Op) { op.Error, op.Unconfirmed = outcome, unconfirmed })
	what := "confirmed "
	if outcome != "" {
		what = "failed "
	}
	w.count(what + string(op.Kind) + "s")
	return f
}

// failureOf reads an answer that says that a change was not done, or not by all.
func failureOf(resp *http.Response) (outcome string, f *failure) {
	text, err := io.ReadAll(resp.Body)
	f = &failure{}
	if err == nil {
		err = json.Unmarshal(text, f)
	}
	if err != nil {
		return err.Error(), nil
	}
	switch f.Error.Kind {
	case "not_confirmed":
		return history.Unconfirmed, f
	case "starting", "draining", "unreachable":
		return history.Refused, f
	default:
		return f.Error.Kind + ": " + f.Error.Message, f
	}
}

// dispatch sends a request with a body, from any goroutine.
func dispatch(ctx context.Context, method, address, contentType, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	return client.Do(req)
}
