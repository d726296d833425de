package main

import (
	"math"
	"slices"
)

// The guests that getters in WebAssembly are measured with; gcnode-all is what
// is measured over all of them.
const (
	guestC              = "gcnode-c"
	guestCPP            = "gcnode-cpp"
	guestRust           = "gcnode-rust"
	guestAssemblyScript = "gcnode-assemblyscript"
	guestGo             = "gcnode-go"
	allGuests           = "gcnode-all"
	native              = "native"
)

// The units of guests.
const (
	loadsPerSecond = "loads/s"
	fuelCost       = "fuel/plain"
	lateMillis     = "late-ms"
	gapMillis      = "gap-ms"
	warmMillis     = "warm-ms"
	nodeCost       = "node/native"
)

// The files of guests.
const (
	wasmGetFile     = "wasmget.txt"
	wasmNodeFile    = "wasmnode.txt"
	wasmFlatFile    = "wasmflat.txt"
	wasmFetchFile   = "wasmfetch.txt"
	wasmFuelFile    = "wasmfuel.txt"
	wasmEndlessFile = "wasmendless.txt"
	wasmStartFile   = "wasmstart.txt"
	wasmReloadFile  = "wasmreload.txt"
)

// guests is the part of the report about getters in WebAssembly.
func guests() map[string]part {
	impl := []string{implKey}
	return map[string]part{
		"wasm-goals": guestTargets(),
		"wasm-get":   table{files: []string{wasmGetFile}, rows: impl, units: []string{nsPerOp, cpuPerOp, "B/op", allocs}},
		"wasm-node":  table{files: []string{wasmNodeFile}, rows: impl, units: []string{"native-ns", "guest-ns", "node-ns", nodeCost}},
		"wasm-flat":  table{files: []string{wasmFlatFile}, rows: impl, units: []string{"before-MiB", "after-MiB", "outgrown"}},
		"wasm-fetch": table{files: []string{wasmFetchFile}, rows: impl, units: []string{loadsPerSecond}},
		"wasm-fuel":  table{files: []string{wasmFuelFile}, rows: []string{implKey, "work"}, units: []string{"plain-us", "fuel-us", fuelCost}},
		"wasm-endless": table{
			files: []string{wasmEndlessFile}, rows: impl, columns: []string{"guests"}, units: []string{lateMillis, gapMillis},
		},
		"wasm-start": table{files: []string{wasmStartFile}, rows: impl, units: []string{"cold-ms", warmMillis, "warm-cpu-ms"}},
		"wasm-reload": table{
			files: []string{wasmReloadFile}, rows: impl, units: []string{"gets", "failed", "reload-ms", "grown-MiB", "grown-goroutines"},
		},
	}
}

// guestTargets are what getters in WebAssembly have to reach.
func guestTargets() goals {
	get, start, endless := []string{wasmGetFile}, []string{wasmStartFile}, []string{wasmEndlessFile}
	one, eight := label{"guests", "1"}, label{"guests", "8"}
	small := []string{guestC, guestCPP, guestRust, guestAssemblyScript}
	fetched := against(native, loadsPerSecond)
	return goals{
		{what: "a small get, one caller, C, C++ or Rust: ns", reach: "≤ 1000", files: get, limit: 1000, measure: only(worst(nsPerOp), guestC, guestCPP, guestRust)},
		{what: "the same, Go: ns", reach: "≤ 5000", files: get, limit: 5000, measure: only(worst(nsPerOp), guestGo)},
		{what: "the same: allocations, the value among them", reach: "≤ 2", files: get, limit: 2, measure: worst(allocs)},
		{what: "10 million small gets, Go: memory of the process after ÷ before", reach: "≤ 1.1", files: []string{wasmFlatFile}, limit: 1.1, measure: worst("after/before")},
		{what: "a miss through a node, without the guest's own time ÷ with a native getter", reach: "≤ 1.5", files: []string{wasmNodeFile}, limit: 1.5, measure: worst(nodeCost)},
		{what: "64 callers, 20 ms origin, one instance: loads/s ÷ a native getter's", reach: "≥ 0.9", files: []string{wasmFetchFile}, limit: 0.9, atLeast: true, measure: only(fetched, small...)},
		{what: "the same, Go", reach: "≥ 0.75", files: []string{wasmFetchFile}, limit: 0.75, atLeast: true, measure: only(fetched, guestGo)},
		{what: "what guests compute, with fuel ÷ without, mean over the programs", reach: "≤ 1.3", of: allGuests, files: []string{wasmFuelFile}, limit: 1.3, measure: meanFuelCost},
		{what: "the same, the worst program", files: []string{wasmFuelFile}, measure: worst(fuelCost)},
		{what: "an endless guest: answer after the deadline, ms", reach: "≤ 5", files: endless, limit: 5, measure: worst(lateMillis, one)},
		{what: "the same: worst gap of a 1 ms ticker in the process, ms", reach: "≤ 30", files: endless, limit: 30, measure: worst(gapMillis, one)},
		{what: "eight endless guests at once: answer after the deadline, ms", reach: "≤ 5", files: endless, limit: 5, measure: worst(lateMillis, eight)},
		{what: "the same: worst gap of a 1 ms ticker in the process, ms", reach: "≤ 30", files: endless, limit: 30, measure: worst(gapMillis, eight)},
		{what: "start with a warm compilation cache, ms", reach: "≤ 5", files: start, limit: 5, measure: only(worst(warmMillis), small...)},
		{what: "the same, Go", reach: "≤ 100", files: start, limit: 100, measure: only(worst(warmMillis), guestGo)},
		{what: "1,000 exchanges of a module under load: gets that failed", reach: "0", files: []string{wasmReloadFile}, limit: 0, measure: worst("failed")},
		{what: "the same: growth of the heap, MiB", reach: "≤ 4", files: []string{wasmReloadFile}, limit: 4, measure: worst("grown-MiB")},
	}
}

// only is a measure that others than the implementations do not have.
func only(measure func(*data, string) (float64, bool), impls ...string) func(*data, string) (float64, bool) {
	return func(d *data, impl string) (float64, bool) {
		if !slices.Contains(impls, impl) {
			return 0, false
		}
		return measure(d, impl)
	}
}

// meanFuelCost is the geometric mean of what fuel costs over all programs.
func meanFuelCost(d *data, impl string) (float64, bool) {
	d = d.where(label{implKey, impl})
	sum, n := 0.0, 0
	for _, config := range d.groups(d.keys()) {
		if runs := d.where(config...).runs(fuelCost); len(runs) > 0 {
			sum += math.Log(median(runs))
			n++
		}
	}
	return math.Exp(sum / float64(n)), n > 0
}
