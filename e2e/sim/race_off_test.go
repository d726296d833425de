//go:build !race

package sim

const (
	replayed = 200
	ordered  = 60
)
