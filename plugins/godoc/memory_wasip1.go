package main

import "runtime/debug"

// limitMemory makes the garbage collector work for little memory: the node
// gives the instance 64 MiB, and what the runtime has once taken from it is
// never given back. The limit leaves room for the module's own data and for
// what is too short-lived for the collector to see in time.
func limitMemory() {
	const softLimitBytes = 32 << 20
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(softLimitBytes)
}
