//go:build !race

package httptransport_test

const poolMisses = 0
