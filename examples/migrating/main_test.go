package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func Example() {
	main()
	// Output:
	// Ann Anna Annie false ann
	// Ann Anna Annie false ann
}

// function is one from the source, without what stands around it in the document.
func function(t *testing.T, file, receiver, name string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	text := regexp.MustCompile(`(?ms)^func \(` + receiver + `\) ` + name + `\(.*?^}\n`).FindString(string(source))
	require.NotEmpty(t, text, "%s has no function %s", file, name)
	return text
}

// TestTheDocumentShowsThisProgram holds docs/migrating.md to the functions here.
func TestTheDocumentShowsThisProgram(t *testing.T) {
	content, err := os.ReadFile("../../docs/migrating.md")
	require.NoError(t, err)
	document := string(content)
	shown := regexp.MustCompile("(?ms)^```go\n(func \\([ab] \\*.*?)^```").FindAllStringSubmatch(document, -1)
	names := []string{"open", "get", "openProfiles", "rename", "forget"}
	require.Len(t, shown, 2*len(names))
	for i, name := range names {
		want := [2]string{function(t, "before.go", `b \*before`, name), function(t, "after.go", `a \*after`, name)}
		if name == "openProfiles" {
			want[0] += "\n" + function(t, "before.go", `b \*before`, "profile")
			want[1] += "\n" + function(t, "after.go", `a \*after`, "profile")
		}
		require.Equal(t, want[0], shown[2*i][1])
		require.Equal(t, want[1], shown[2*i+1][1])
	}
	require.Equal(t, 2*len(names), strings.Count(document, "```go\nfunc ("))
}
