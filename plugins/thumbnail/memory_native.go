//go:build !wasip1

package main

// limitMemory does nothing natively, where the process is not ours alone.
func limitMemory(int64) {}
