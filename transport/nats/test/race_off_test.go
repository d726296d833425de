//go:build !race

package test

const (
	racing = false
	crowd  = 100
	burst  = 100_000
)
