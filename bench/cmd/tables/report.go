package main

import "maps"

// The contestants that goals are measured by.
const (
	otter      = "otter"
	freecache  = "freecache"
	groupcache = "golang-groupcache"
	xsync      = "x-sync"
	extismSDK  = "extism-sdk"
)

// The units.
const (
	nsPerOp  = "ns/op"
	cpuPerOp = "cpu-ns/op"
	allocs   = "allocs/op"
	inUse    = "inuse-B/entry"
	heapUsed = "heap-B/entry"
	gcTime   = "gc-ms"
)

// report is all parts, by name.
func report() map[string]part {
	impl := []string{implKey}
	ratios := []string{"policy.txt", "ratio.txt"}
	parts := map[string]part{
		"goals":         targets(ratios),
		"cluster-goals": clusterTargets(),
		"moving":        movingTargets(),

		"hits": table{
			files: []string{"hit.txt"}, rows: impl, columns: []string{"keys", "goroutines"},
			units: []string{nsPerOp}, floor: label{implKey, "map"},
		},
		"hit-times": table{
			files: []string{"hit.txt"}, rows: impl, columns: []string{"keys", "goroutines"},
			units: []string{nsPerOp},
		},
		"hit-allocs": table{
			files: []string{"hit.txt"}, where: []label{{"keys", "100000"}, {"goroutines", "1"}}, rows: impl,
			units: []string{"B/op", allocs},
		},
		"hit-plot": figure{
			files: []string{"hit.txt"}, name: "hits.svg", title: "Time of a local hit against goroutines",
			panel: "keys", x: "goroutines", unit: nsPerOp, yLog: true,
			xLabel: "goroutines, each on a thread of its own", yLabel: "ns per hit",
		},
		"ttl": table{
			files: []string{"hitttl.txt"}, rows: impl, columns: []string{"keys", "goroutines", "ttl"},
			units: []string{nsPerOp},
		},
		"fill-set": table{
			files: []string{"fill.txt"}, where: []label{{"writes", "set"}}, rows: impl, columns: []string{"state"},
			units: []string{nsPerOp, cpuPerOp, allocs},
		},
		"fill": table{
			files: []string{"fill.txt"}, where: []label{{"writes", "load"}}, rows: impl, columns: []string{"state"},
			units: []string{nsPerOp, cpuPerOp, allocs},
		},
		"mixed-load": table{
			files: []string{"mixed.txt"}, where: []label{{"writes", "load"}}, rows: impl, columns: []string{"reads"},
			units: []string{nsPerOp, cpuPerOp},
		},
		"mixed-set": table{
			files: []string{"mixed.txt"}, where: []label{{"writes", "set"}}, rows: impl, columns: []string{"reads"},
			units: []string{nsPerOp, cpuPerOp},
		},

		"memory": table{
			files: []string{"memory.txt"}, where: []label{{"entries", "1000000"}}, rows: impl,
			units: []string{heapUsed, inUse, gcTime, "fill-s"},
		},
		"memory-large": table{
			files: []string{"memory.txt"}, where: []label{{"entries", "5000000"}}, rows: impl,
			units: []string{heapUsed, inUse, gcTime, "fill-s"},
		},
		"gc-plot": figure{
			files: []string{"memory.txt"}, name: "gc.svg", title: "Time of a full garbage collection against entries",
			x: "entries", unit: gcTime, xLog: true, yLog: true, least: 3,
			xLabel: "entries of 16 + 100 bytes", yLabel: "ms per collection",
		},
		"heap-limit": table{
			files: []string{"heaplimit.txt"}, rows: impl, columns: []string{"limit"},
			units: []string{"heap/limit"},
		},

		"ratio": table{
			files: ratios, rows: []string{traceKey, capacityKey}, columns: impl,
			units: []string{hitUnit}, fixed: true, best: true,
		},
		"distance": distances{ratios},
		"ratio-plot": figure{
			files: ratios, name: "ratio.svg", title: "Hit ratio against capacity",
			panel: traceKey, x: capacityKey, unit: hitUnit, xLog: true, fixed: true,
			xLabel: "capacity, entries", yLabel: "hits, %",
			leave: []string{"SIEVE", "ARC", "2Q"},
		},

		"owner": table{
			files: []string{"owner.txt"}, rows: impl, columns: []string{"nodes"},
			units: []string{nsPerOp, allocs},
		},
		"balance": table{
			files: []string{"balance.txt"}, rows: []string{implKey, "nodes", "keys"},
			units: []string{"busiest/mean", "join/min", "leave/min"}, fixed: true,
		},
		"flight": table{
			files: []string{"flight.txt"}, rows: impl, columns: []string{"waiters"},
			units: []string{"ns/waiter"},
		},
		"extism": table{
			files: []string{"extism.txt"}, rows: impl, columns: []string{"module"},
			units: []string{nsPerOp, "B/op", allocs},
		},
		"extism-goals": extismTargets(),
		"remove": table{
			files: []string{"remove.txt"}, rows: []string{"nodes"},
			units: []string{"remove-p50-us", "remove-p99-us", "trip-p50-us", "trip-p99-us"},
		},
		"remove-nats": table{
			files: []string{"removenats.txt"}, rows: []string{"nodes"},
			units: []string{"remove-p50-us", "remove-p99-us", "plain-p50-us", "plain-p99-us", "gather-p50-us", "gather-p99-us"},
		},
		"burst": table{
			files: []string{"burst.txt"}, rows: []string{"nodes", "removals"},
			units: []string{"messages", "messages/naive", "burst-ms"},
		},
		"restart": table{
			files: []string{"restart.txt"}, rows: []string{"nodes"},
			units: []string{"resident", "gets", "loads", "loads-%"},
		},
		"dead-peer": table{
			files: []string{"deadpeer.txt"}, rows: []string{"peer"},
			units: []string{"before-p50-us", "before-p99-us", "slowest-ms", "waits", "after-p50-us", "after-p99-us", "slowest-after-ms"},
		},
		"cold": table{
			files: []string{"cold.txt"}, rows: []string{"nodes", "callers"},
			units: []string{"runs", "slowest-ms"},
		},
		"size": table{
			files: []string{"size.txt"}, rows: impl, columns: []string{"platform"},
			units: []string{"MiB"}, fixed: true,
		},
	}
	maps.Copy(parts, fetches())
	maps.Copy(parts, guests())
	return parts
}

// clusterTargets are what clusters have to reach.
func clusterTargets() goals {
	remove, removeNATS, dead := []string{"remove.txt"}, []string{"removenats.txt"}, []string{"deadpeer.txt"}
	hangs := label{"peer", "hangs"}
	return goals{
		{what: "getter runs for one cold key asked 10,000 times at once through 12 nodes", reach: "1", files: []string{"cold.txt"}, limit: 1, measure: worst("runs")},
		{what: "`Remove` on 3 nodes, p99 ÷ p99 of one peer round trip", reach: "≤ 3", files: remove, limit: 3, measure: worst("p99/trip-p99")},
		{what: "the same: median ÷ median", reach: "≤ 3", files: remove, limit: 3, measure: ratio("remove-p50-us", "trip-p50-us")},
		{what: "the same: p99 ÷ median", reach: "≤ 3", files: remove, limit: 3, measure: worst("p99/trip-p50")},
		{what: "origin loads in a rolling restart of 6 nodes, % of the resident keys", reach: "≤ 5", files: []string{"restart.txt"}, limit: 5, measure: worst("loads-%")},
		{what: "one of 6 nodes hangs: slowest request ÷ peer timeout", reach: "≤ 1.1", files: dead, limit: 1.1, measure: worst("slowest/timeout", hangs)},
		{what: "the same: requests that waited for the timeout, over the five that ask", reach: "≤ 5", files: dead, limit: 5, measure: worst("waits", hangs)},
		{what: "then: p50 ÷ before", reach: "≤ 2", files: dead, limit: 2, measure: worst("after/before-p50")},
		{what: "then: p99 ÷ before", reach: "≤ 2", files: dead, limit: 2, measure: worst("after/before-p99")},
		{what: "messages for 1,000 removals at once on 12 nodes ÷ naive", reach: "≤ 0.1", files: []string{"burst.txt"}, limit: 0.1, measure: worst("messages/naive")},
		{what: "over NATS: `Remove` on 12 nodes, p99 ÷ p99 of a plain request to the slowest of them", reach: "≤ 3", of: overNATS, files: removeNATS, limit: 3, measure: worst("p99/plain-p99")},
		{what: "a plain message to all of them, to which all reply: p99 ÷ the same", files: removeNATS, measure: worst("gather-p99/plain-p99")},
	}
}

// extismTargets are what getters that were written for Extism have to reach.
func extismTargets() goals {
	files := []string{"extism.txt"}
	return goals{
		{what: "get from a module for Extism: times as fast as its SDK, both with a deadline, the worst case", reach: "≥ 50", files: files, limit: 50, atLeast: true, measure: timesFaster(extismSDK+"-deadline", nsPerOp)},
		{what: "the same, with no deadline for the SDK", files: files, measure: timesFaster(extismSDK, nsPerOp)},
		{what: "the same, with an instance of the SDK's for each call", files: files, measure: timesFaster(extismSDK+"-fresh", nsPerOp)},
	}
}

// targets are what there is to reach.
func targets(ratios []string) goals {
	hits, fills, mixed, memory := []string{"hit.txt"}, []string{"fill.txt"}, []string{"mixed.txt"}, []string{"memory.txt"}
	large := label{"keys", "100000"}
	five := label{"entries", "5000000"}
	fill := func(writes string) []label { return []label{{"state", "full"}, {"writes", writes}} }
	half := func(writes string) []label { return []label{{"writes", writes}, {"reads", "50"}} }
	hundred := label{"nodes", "100"}
	balance := []string{"balance.txt"}
	return goals{
		{what: "local hit, allocations", reach: "0", files: hits, limit: 0, measure: worst(allocs)},
		{what: "local hit, 100 k keys, 2 goroutines: time ÷ otter's", reach: "≤ 1", files: hits, limit: 1, measure: against(otter, nsPerOp, large, label{"goroutines", "2"})},
		{what: "the same, 8 goroutines", reach: "≤ 1", files: hits, limit: 1, measure: against(otter, nsPerOp, large, label{"goroutines", "8"})},
		{what: "the same, 2 goroutines: times as fast as golang/groupcache", reach: "≥ 3", files: hits, limit: 3, atLeast: true, measure: timesFaster(groupcache, nsPerOp, large, label{"goroutines", "2"})},
		{what: "the same, 8 goroutines", reach: "≥ 3", files: hits, limit: 3, atLeast: true, measure: timesFaster(groupcache, nsPerOp, large, label{"goroutines", "8"})},
		{what: "local hit with a TTL: time ÷ without, the worst case", reach: "≤ 1.2", files: []string{"hitttl.txt"}, limit: 1.2, measure: lifeCost},
		{what: "fill with eviction, with Set, where there is one: time ÷ otter's", reach: "< 1", files: fills, limit: 1, measure: against(otter, nsPerOp, fill("set")...)},
		{what: "the same: times as fast as golang/groupcache", reach: "≥ 2", files: fills, limit: 2, atLeast: true, measure: timesFaster(groupcache, nsPerOp, fill("set")...)},
		{what: "50 % reads and 50 % Sets with eviction: time ÷ otter's", reach: "< 1", files: mixed, limit: 1, measure: against(otter, nsPerOp, half("set")...)},
		{what: "the same: times as fast as golang/groupcache", reach: "≥ 2", files: mixed, limit: 2, atLeast: true, measure: timesFaster(groupcache, nsPerOp, half("set")...)},
		{what: "fill with eviction, by loading what is missing: time ÷ otter's", reach: "< 1", files: fills, limit: 1, measure: against(otter, nsPerOp, fill("load")...)},
		{what: "the same: times as fast as golang/groupcache", reach: "≥ 2", files: fills, limit: 2, atLeast: true, measure: timesFaster(groupcache, nsPerOp, fill("load")...)},
		{what: "50 % reads and 50 % misses with eviction: time ÷ otter's", reach: "< 1", files: mixed, limit: 1, measure: against(otter, nsPerOp, half("load")...)},
		{what: "the same: times as fast as golang/groupcache", reach: "≥ 2", files: mixed, limit: 2, atLeast: true, measure: timesFaster(groupcache, nsPerOp, half("load")...)},
		{what: "5 M entries: bytes in use beyond key and value, per entry", reach: "≤ 40", files: memory, limit: 40, measure: worst(inUse, five)},
		{what: "mixed values, 4 MiB limit: heap in use ÷ limit", reach: "≤ 1.1", files: []string{"heaplimit.txt"}, limit: 1.1, measure: worst("heap/limit", label{"limit", "4MiB"})},
		{what: "the same, 64 MiB", reach: "≤ 1.1", files: []string{"heaplimit.txt"}, limit: 1.1, measure: worst("heap/limit", label{"limit", "64MiB"})},
		{what: "the same, 1 GiB", reach: "≤ 1.1", files: []string{"heaplimit.txt"}, limit: 1.1, measure: worst("heap/limit", label{"limit", "1024MiB"})},
		{what: "garbage collection, 5 M entries: times as fast as golang/groupcache", reach: "≥ 300", files: memory, limit: 300, atLeast: true, measure: timesFaster(groupcache, gcTime, five)},
		{what: "the same: time ÷ freecache's", reach: "≤ 2", files: memory, limit: 2, measure: against(freecache, gcTime, five)},
		{what: "hit ratio: mean distance to the best policy, points", reach: "≤ 1", files: ratios, fixed: true, limit: 1, measure: meanDistance},
		{what: "hit ratio: most under LRU, points", reach: "≤ 1", files: ratios, fixed: true, limit: 1, measure: underLRU},
		{what: "owner look-up, 100 nodes: times as fast as golang/groupcache", reach: "≥ 5", files: []string{"owner.txt"}, limit: 5, atLeast: true, measure: timesFaster(groupcache, nsPerOp, hundred)},
		{what: "busiest node ÷ mean, the worst case", reach: "≤ 1.05", files: balance, fixed: true, limit: 1.05, measure: worst("busiest/mean")},
		{what: "keys moved on join ÷ fair share, the worst case", reach: "≤ 1.05", files: balance, fixed: true, limit: 1.05, measure: worst("join/min")},
		{what: "keys moved on leave ÷ fair share, the worst case", reach: "≤ 1.05", files: balance, fixed: true, limit: 1.05, measure: worst("leave/min")},
		{what: "flight, 1,000 waiters: time ÷ x/sync's", reach: "≤ 1", files: []string{"flight.txt"}, limit: 1, measure: against(xsync, "ns/waiter", label{"waiters", "1000"})},
	}
}

// ratio is one figure of a run over another one.
func ratio(unit, to string) func(*data, string) (float64, bool) {
	return func(d *data, impl string) (float64, bool) {
		d = d.where(label{implKey, impl})
		return over(d.runs(unit), d.runs(to))
	}
}

// lifeCost is what a hit of an entry with a life costs in terms of one without.
func lifeCost(d *data, impl string) (float64, bool) {
	const ttl = "ttl"
	highest, found := 0.0, false
	for _, config := range d.where(label{implKey, impl}).groups([]string{"keys", "goroutines", implKey}) {
		here := d.where(config...)
		if ratio, ok := over(here.where(label{ttl, "1h"}).runs(nsPerOp), here.where(label{ttl, "none"}).runs(nsPerOp)); ok {
			highest, found = max(highest, ratio), true
		}
	}
	return highest, found
}
