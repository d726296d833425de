// Package bench measures the cache beside others of its kind, in one run, so
// that the ratios between them mean something on any machine. "make bench"
// runs it, keeps the raw output in results, and writes docs/benchmarks.md from
// it.
//
// The caches are in contestant, ways to get a value out of another process in
// remote, guests in WebAssembly in guesttest, traces to replay in trace,
// simulated eviction policies in policy, and what is made of the results in
// cmd/tables.
package bench

//go:generate go run ./cmd/tables -results results ../docs/benchmarks.md
//go:generate go run ./cmd/tables -results results ../docs/migrating.md
