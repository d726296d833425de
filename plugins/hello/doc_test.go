package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The getter in the documentation is this one.
func TestDocumentedCode(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(source), "\npackage main\n")
	require.True(t, found)
	text, err := os.ReadFile("../../docs/writing-getters.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), "```go\npackage main\n"+code+"```\n")
}
