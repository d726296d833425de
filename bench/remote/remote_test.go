package remote_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gcnode/gcnode/bench/remote"
)

func TestMain(m *testing.M) {
	remote.Main()
	os.Exit(m.Run())
}

// TestContestants checks of each contestant what the benchmarks build on.
func TestContestants(t *testing.T) {
	content := remote.Content{{Count: 64, Bytes: 128}, {Count: 16, Bytes: 4 << 10}, {Count: 4, Bytes: 1 << 20}}
	for _, c := range remote.All() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Missing(); err != nil {
				t.Skip(err)
			}
			process, err := c.Start(t.Context(), content)
			require.NoError(t, err)
			client, err := c.Dial(t.Context(), process)
			require.NoError(t, err)
			before, err := process.Usage()
			require.NoError(t, err)
			testValues(t, client, content)
			after, err := process.Usage()
			require.NoError(t, err)
			assert.Greater(t, after.CPU, before.CPU)
			assert.Equal(t, after.Counted, after.Allocs > before.Allocs)
			connections, err := process.Connections()
			require.NoError(t, err)
			assert.Positive(t, connections)

			want := content[0].Wants(0, 1)[0]
			want.Bytes++
			require.ErrorContains(t, client.Get(t.Context(), want), "want 129 bytes")
			missing := content[0].Wants(content[0].Count, 1)[0]
			require.Error(t, client.Get(t.Context(), missing))
			require.NoError(t, client.Close())
			require.NoError(t, process.Close())
		})
	}
}

// testValues gets everything, several values at a time.
func testValues(t *testing.T, client *remote.Client, content remote.Content) {
	t.Helper()
	const goroutines = 8
	group, ctx := errgroup.WithContext(t.Context())
	for i := range goroutines {
		group.Go(func() error {
			for _, keys := range content {
				for j, want := range keys.Wants(0, keys.Count) {
					want.Whole = (i+j)%2 == 0
					if err := client.Get(ctx, want); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}
