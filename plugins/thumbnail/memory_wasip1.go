package main

import "runtime/debug"

// limitMemory makes the garbage collector work before the heap has more than
// what a picture takes, twice what the origin may send, and some for the rest:
// what the runtime has once taken from an instance is never given back.
func limitMemory(decodeBytes int64) { debug.SetMemoryLimit(decodeBytes + 20<<20) }
