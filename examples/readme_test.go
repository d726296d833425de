package examples_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code in the README is that of an example that is compiled and run, but
// for its indentation.
func TestTheReadmeShowsTheLibraryExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok, "the README has no Go code")
	shown, _, ok := strings.Cut(rest, "```")
	require.True(t, ok, "the README's Go code does not end")

	source, err := os.ReadFile("library/main.go")
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(source), "func run(ctx context.Context) error {\n")
	require.True(t, ok)
	body, _, ok = strings.Cut(body, "\n}\n")
	require.True(t, ok)
	var want strings.Builder
	for line := range strings.Lines(body + "\n") {
		want.WriteString(strings.TrimPrefix(line, "\t"))
	}
	require.Equal(t, want.String(), shown, "the README's code differs from examples/library/main.go")
}
