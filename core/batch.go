package gcnode

import (
	"context"
	"errors"
	"iter"
)

// BatchGetter is a getter that can load several keys at once. It is asked so
// for the keys of a batch; what concerns a single key goes to GetItem.
//
// GetItems is called with 1 to [MaxBatchKeys] different keys, [MaxBatchBytes]
// of them at most unless it is one. It calls yield for each key, named by its
// index, as soon as it knows the answer, so that nobody waits for the slowest
// one; in any order and from any goroutine, but not after it has returned.
// Answers are as those of GetItem. Keys that it has passed over when it
// returns get its error, or a failed load if that is nil; the first answer to
// a key counts.
//
// Its context carries the values of the context of the caller whose batch it
// is, and ends at the load timeout, or when nobody waits for any of the keys
// any more.
type BatchGetter[V any] interface {
	Getter[V]
	GetItems(ctx context.Context, keys []string, yield func(i int, it Item[V], err error)) error
}

// Result is the answer to one key of a batch.
type Result[V any] struct {
	// Index is the place of the key in the batch.
	Index int
	Key   string
	// Item is the value with its remaining life, which is also set beside
	// [ErrNotFound].
	Item[V]
}

// piece is a part of some keys, by their indices: from the one to before the
// other.
type piece struct{ from, to int }

// batches cuts keys into pieces that a [BatchGetter] may be asked for.
func batches(keys []string) (pieces []piece) {
	from, size := 0, 0
	for i, key := range keys {
		if i > from && (i-from == MaxBatchKeys || size+len(key) > MaxBatchBytes) {
			pieces = append(pieces, piece{from, i})
			from, size = i, 0
		}
		size += len(key)
	}
	if from < len(keys) {
		pieces = append(pieces, piece{from, len(keys)})
	}
	return pieces
}

// collect are the values of a stream of n results, and the errors of those that
// have failed.
func collect[V any](ctx context.Context, n int, results iter.Seq2[Result[V], error]) (map[string]V, error) {
	values := make(map[string]V, n)
	var errs []error
	for r, err := range results {
		switch {
		case err == nil:
			values[r.Key] = r.Value
		case KindOf(err) == KindNotFound:
		case ctx.Err() != nil:
			return values, err // the others have it as well
		default:
			errs = append(errs, err)
		}
	}
	return values, errors.Join(errs...)
}
