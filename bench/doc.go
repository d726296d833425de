// Package bench measures the cache beside others of its kind, in one run, so
// that the ratios between them mean something on any machine. "make bench"
// runs it, keeps the raw output in results, and writes the tables in
// docs/benchmarks.md from it.
package bench

//go:generate go run ./cmd/tables -results results ../docs/benchmarks.md
