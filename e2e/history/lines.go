package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// header is the first line of a history.
type header struct {
	Name   string `json:"name"`
	Bounds Bounds `json:"bounds"`
}

// line is one record; one field of it is set.
type line struct {
	History *header `json:"history,omitempty"`
	Op      *Op     `json:"op,omitempty"`
	Load    *Load   `json:"load,omitempty"`
	Event   *Event  `json:"event,omitempty"`
}

// at is when the record began.
func (l *line) at() int64 {
	switch {
	case l.Op != nil:
		return l.Op.Start
	case l.Load != nil:
		return l.Load.Begin
	case l.Event != nil:
		return l.Event.At
	default:
		return 0
	}
}

// Keep writes the history to a file that stays, and returns its path.
func (h *History) Keep() (path string, err error) {
	f, err := os.CreateTemp("", "gcnode-history-*.jsonl")
	if err != nil {
		return "", fmt.Errorf("keep history %q: %w", h.Name, err)
	}
	return f.Name(), errors.Join(h.Write(f), f.Close())
}

// Write writes the history as lines of JSON: the header, and then events,
// operations and loads by the times at which they began. It sorts the history.
func (h *History) Write(w io.Writer) error {
	h.Sort()
	buffered := bufio.NewWriter(w)
	e := json.NewEncoder(buffered)
	e.SetEscapeHTML(false)
	if err := e.Encode(line{History: &header{h.Name, h.Bounds}}); err != nil {
		return fmt.Errorf("write history %q: %w", h.Name, err)
	}
	ops, loads, events := h.Ops, h.Loads, h.Events
	for len(ops)+len(loads)+len(events) > 0 {
		var next line
		if len(events) > 0 {
			next.Event = &events[0]
		}
		if len(ops) > 0 && (next.Event == nil || ops[0].Start < next.at()) {
			next = line{Op: &ops[0]}
		}
		if len(loads) > 0 && (next.Event == nil && next.Op == nil || loads[0].Begin < next.at()) {
			next = line{Load: &loads[0]}
		}
		switch {
		case next.Event != nil:
			events = events[1:]
		case next.Op != nil:
			ops = ops[1:]
		default:
			loads = loads[1:]
		}
		if err := e.Encode(next); err != nil {
			return fmt.Errorf("write history %q: %w", h.Name, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write history %q: %w", h.Name, err)
	}
	return nil
}

// Read reads what [History.Write] has written. Files can be concatenated: the
// last header counts.
func Read(r io.Reader) (*History, error) {
	h := &History{}
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	for n := 1; ; n++ {
		var l line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("read history: record %d: %w", n, err)
		case l.History != nil:
			h.Name, h.Bounds = l.History.Name, l.History.Bounds
		case l.Op != nil:
			h.Ops = append(h.Ops, *l.Op)
		case l.Load != nil:
			h.Loads = append(h.Loads, *l.Load)
		case l.Event != nil:
			h.Events = append(h.Events, *l.Event)
		default:
			return nil, fmt.Errorf("read history: record %d is neither header, operation, load nor event", n)
		}
	}
}
