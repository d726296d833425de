package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEachFileIsReadOnce(t *testing.T) {
	reads := 0
	read := func(name string) ([]byte, error) {
		reads++
		if name == "missing" {
			return nil, fs.ErrNotExist
		}
		return []byte("hello\n"), nil
	}
	var out strings.Builder
	require.NoError(t, run(context.Background(), strings.NewReader("a\na\nmissing\nmissing\n"), &out, read))
	require.Equal(t, `5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  a
5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  a
missing: get "missing": not found
missing: get "missing": not found
4 asked, 2 computed
`, out.String())
	require.Equal(t, 2, reads)
}

// slowReader gives a line every two minutes.
type slowReader struct{ lines []string }

func (r *slowReader) Read(b []byte) (int, error) {
	if len(r.lines) == 0 {
		return 0, errors.New("unplugged")
	}
	time.Sleep(2 * time.Minute)
	n := copy(b, r.lines[0]+"\n")
	r.lines = r.lines[1:]
	return n, nil
}

func TestAnOldDigestStandsInWhenTheFileCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		read := func(string) ([]byte, error) {
			if reads++; reads > 1 {
				return nil, errors.New("no card")
			}
			return []byte("hello\n"), nil
		}
		var out strings.Builder
		err := run(t.Context(), &slowReader{lines: []string{"a", "a"}}, &out, read)
		require.ErrorContains(t, err, "unplugged")
		require.Equal(t, 2, strings.Count(out.String(), "5891b5b522d5df"))
		require.Equal(t, 2, reads)
	})
}
