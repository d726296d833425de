package natstransport

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// TestRequestsAreCut expects all of a request in messages below a limit,
// whatever there is of removals and ends.
func TestRequestsAreCut(t *testing.T) {
	const limit = 200
	key := strings.Repeat("k", 100)
	for removals := range 6 {
		for ends := range 40 {
			req := &gcnode.Request{Op: gcnode.OpRemove}
			for i := range removals {
				req.Removals = append(req.Removals, gcnode.Removal{ID: gcnode.RemovalID{Seq: uint64(i)}, Keys: []string{key}})
			}
			for i := range ends {
				req.Finished = append(req.Finished, gcnode.RemovalID{Seq: uint64(i)})
			}
			messages, err := cutRequest(req, limit)
			require.NoError(t, err)
			var all gcnode.Request
			for _, m := range messages {
				require.LessOrEqual(t, len(m), limit)
				part, err := wire.DecodeRequest(m)
				require.NoError(t, err)
				all.Removals = append(all.Removals, part.Removals...)
				all.Finished = append(all.Finished, part.Finished...)
			}
			require.Equal(t, req.Removals, all.Removals)
			require.Equal(t, req.Finished, all.Finished)

			req.Removals = append(req.Removals, gcnode.Removal{Keys: []string{key + key}})
			_, err = cutRequest(req, limit)
			require.ErrorIs(t, err, errTooLong)
		}
	}
}
