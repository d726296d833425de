package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Core has moved on where this fails: bring the mutants up to date.
func TestAllMutantsCanBeMade(t *testing.T) {
	lab, err := newLab(t.Context(), t.TempDir(), simulation{}, false)
	require.NoError(t, err)
	assert.Empty(t, checkAll(lab.core, mutants()))
	var names []string
	for _, m := range mutants() {
		names = append(names, m.name)
		assert.NotEmpty(t, m.broken, m.name)
	}
	assert.Subset(t, names, mechanisms())
}
