package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// reportTo is the variable in the environment with the file to which tests
// append what they met, since "go test" is silent about those that pass.
const reportTo = "GCNODE_E2E_REPORT"

// report tells the reader something that is no failure.
func report(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	path := os.Getenv(reportTo)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = fmt.Fprintf(f, "%s: %s\n", t.Name(), text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}
