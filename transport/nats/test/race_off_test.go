//go:build !race

package test

// racing reports whether the race detector is on.
const racing = false
