//go:build race

package test

// racing reports whether the race detector is on, with which a sync.Pool gives
// back less than it was given.
const racing = true
