package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	gcnode "github.com/gcnode/gcnode/core"
)

// maxLineBytes bounds one result: each byte of the key and the value can take
// six, and what is around them some more.
const maxLineBytes = 6*(gcnode.MaxValueBytes+gcnode.MaxKeyBytes) + 1<<20

// Result is the answer to one key of many.
type Result struct {
	// Index is the place of the key.
	Index int
	Value []byte
	// CacheControl is how long the answer may be kept, an error that says that
	// there is no value included.
	CacheControl string
	// Err is an [*Error] if there is no value.
	Err error
}

// GetMany asks for the values of keys, at most as many as one request may have,
// and calls each for every one, in the order in which the node has them ready.
// An error of each ends it and is returned.
func (c *Client) GetMany(ctx context.Context, group string, keys []string, each func(Result) error) error {
	list, err := listOf(group, keys)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, c.groupURL(group)+"/values", list)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return readError(resp)
	}
	answer := &io.LimitedReader{R: resp.Body}
	lines := json.NewDecoder(answer)
	answered := make([]bool, len(keys))
	for n := range keys {
		var line api.Result
		answer.N = maxLineBytes
		if err := lines.Decode(&line); err != nil {
			return fmt.Errorf("the answer broke off after %d of %d values: %w", n, len(keys), brokenOff(err))
		}
		if line.Index < 0 || line.Index >= len(keys) || answered[line.Index] {
			return fmt.Errorf("the node answered a key with the index %d, which it was not asked for, or twice", line.Index)
		}
		answered[line.Index] = true
		r := Result{Index: line.Index, Value: []byte(line.Value), CacheControl: line.CacheControl}
		if line.Error != nil {
			r.Err = &Error{Status: resp.StatusCode, ErrorDetail: *line.Error}
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// brokenOff makes of an early end the error that it is.
func brokenOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// listOf is a list of keys as it is sent. What no node accepts is refused.
func listOf(group string, keys []string) (content, error) {
	if err := checkGroup(group); err != nil {
		return content{}, err
	}
	list := make([]api.Text, len(keys))
	total := 0
	for i, key := range keys {
		if err := checkLength("the key", len(key), gcnode.MaxKeyBytes); err != nil {
			return content{}, err
		}
		list[i], total = api.Text(key), total+len(key)
	}
	if err := checkLength("the list of keys", total, gcnode.MaxBatchBytes); err != nil {
		return content{}, err
	}
	body, err := json.Marshal(list)
	if err != nil {
		return content{}, fmt.Errorf("list %d keys: %w", len(keys), err)
	}
	return content{body: body, kind: api.TypeJSON}, nil
}

// Pieces cuts keys into lists that one request may have.
func Pieces(keys []string) [][]string {
	var pieces [][]string
	begin, total := 0, 0
	for i, key := range keys {
		if total += len(key); i-begin == gcnode.MaxBatchKeys || total > gcnode.MaxBatchBytes {
			pieces = append(pieces, keys[begin:i])
			begin, total = i, len(key)
		}
	}
	return append(pieces, keys[begin:])
}
