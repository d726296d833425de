// Package history records what clients of a cluster asked for and got, and
// checks that against what docs/guarantees.md states.
package history

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Kind is what a client asked for.
type Kind string

// The kinds of operations. A batch is recorded as one operation for each key.
const (
	Get    Kind = "get"
	Set    Kind = "set"
	Remove Kind = "remove"
	Clear  Kind = "clear"
)

// Op is an operation of a client. Begun and Ended order it among all others:
// two operations are concurrent unless one has ended before the other began.
// They may be steps of a schedule or nanoseconds of one clock, but are the same
// for all operations and loads of a history.
type Op struct {
	ID    int      `json:"id"`
	Kind  Kind     `json:"kind"`
	Node  string   `json:"node"`
	Keys  []string `json:"keys,omitempty"` // one but for Remove
	Begun int64    `json:"begun"`
	Ended int64    `json:"ended"` // 0: never, the client or its node crashed
	// BegunAt and EndedAt are times on the clock that lifetimes are counted by.
	BegunAt time.Duration `json:"begun_at"`
	EndedAt time.Duration `json:"ended_at"`
	// Value is what was got, or set.
	Value string `json:"value,omitempty"`
	// Source is how the node came by it.
	Source string `json:"source,omitempty"`
	// Failed is why there is no answer, or who did not confirm.
	Failed string `json:"failed,omitempty"`
	// Lost says that a write was confirmed by nobody, and that whoever called it
	// is gone: nobody knows of it.
	Lost bool `json:"lost,omitempty"`
	// Late says that the operation was begun when all faults had been mended
	// for long enough.
	Late bool `json:"late,omitempty"`
}

// Load is a call of the getter.
type Load struct {
	Node  string `json:"node"`
	Life  int    `json:"life"` // of the node
	Key   string `json:"key"`
	Value string `json:"value"`
	// Version is what the origin had when the load began.
	Version int   `json:"version"`
	Begun   int64 `json:"begun"`
	Ended   int64 `json:"ended"` // 0: never
	// EndedAt is a time as in Op.
	EndedAt time.Duration `json:"ended_at"`
	// Alone says that the node was joining, so that nobody could wait for it.
	Alone bool `json:"alone,omitempty"`
}

// History is what has happened.
type History struct {
	Ops   []Op   `json:"ops"`
	Loads []Load `json:"loads"`
}

// LoadedValue is the value of the n-th load of a key on a node, which found
// this version at the origin.
func LoadedValue(node string, life int, key string, n, version int) string {
	return fmt.Sprintf("load %s/%d/%s/%d version %d", node, life, key, n, version)
}

// SetValue is the value of the set that is the operation with this ID.
func SetValue(id int) string { return "set " + strconv.Itoa(id) }

// setOf is the ID of the operation that set the value.
func setOf(value string) (id int, ok bool) {
	rest, ok := strings.CutPrefix(value, "set ")
	if !ok {
		return 0, false
	}
	id, err := strconv.Atoi(rest)
	return id, err == nil
}

// Write writes the history as lines of JSON: the loads, and then the operations.
func (h *History) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	for i := range h.Loads {
		if err := enc.Encode(struct {
			Load *Load `json:"load"`
		}{&h.Loads[i]}); err != nil {
			return err
		}
	}
	for i := range h.Ops {
		if err := enc.Encode(struct {
			Op *Op `json:"op"`
		}{&h.Ops[i]}); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write has written.
func Read(r io.Reader) (*History, error) {
	h := &History{}
	for dec := json.NewDecoder(r); ; {
		var line struct {
			Load *Load `json:"load"`
			Op   *Op   `json:"op"`
		}
		switch err := dec.Decode(&line); {
		case err == io.EOF: //nolint:errorlint // Decode returns it bare
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("read a history: %w", err)
		case line.Load != nil:
			h.Loads = append(h.Loads, *line.Load)
		case line.Op != nil:
			h.Ops = append(h.Ops, *line.Op)
		}
	}
}
