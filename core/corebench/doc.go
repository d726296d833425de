// Package corebench opens parts of the core to benchmarks in other modules,
// which put them beside what others have. Programs use
// [github.com/gcnode/gcnode/core.Group] or
// [github.com/gcnode/gcnode/core.Cache] instead.
package corebench
