package wasm

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGuestSeesTheEnvironmentThatItIsGiven(t *testing.T) {
	t.Setenv("GCNODE_SECRET", "not for guests")
	p := loadVerbs(t, Options{Env: map[string]string{"B": "2", "A": "1=1"}})
	assert.Equal(t, "A=1=1,B=2", get(t, p, "env"))
}

func TestGuestHasNoFiles(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	assert.Contains(t, get(t, p, "file:/etc/passwd"), "open /etc/passwd")
	assert.Contains(t, get(t, p, "file:main_test.go"), "open main_test.go")
}

func TestClocksAreReal(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	var abi, wasi, mono, later int64
	_, err := fmt.Sscan(get(t, p, "clock"), &abi, &wasi, &mono)
	require.NoError(t, err)
	now := time.Now().UnixMilli()
	assert.InDelta(t, now, abi, float64(patience.Milliseconds()))
	assert.InDelta(t, now, wasi, float64(patience.Milliseconds()))
	_, err = fmt.Sscan(get(t, p, "clock"), &abi, &wasi, &later)
	require.NoError(t, err)
	assert.Greater(t, later, mono)
}
