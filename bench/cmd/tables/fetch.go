package main

// The contestants of fetches from another process.
const (
	netHTTP   = "net-http"
	rawTCP    = "raw-tcp"
	memcached = "memcached"
	redis     = "redis"
	stream    = "gcnode-stream"
	signed    = "gcnode-signed"
	plain     = "gcnode-plain"
	overNATS  = "gcnode-nats"
	plainNATS = "nats"
)

// The units of fetches.
const (
	perSecond     = "requests/s"
	megabytes     = "MB/s"
	p50           = "p50-us"
	p99           = "p99-us"
	cpuPerRequest = "cpu-us/op"
	clientAllocs  = "client-allocs/op"
	serverAllocs  = "server-allocs/op"
	besideP99     = "beside/alone-p99"
	requests      = "requests" // how many were measured
)

// The files of fetches.
const (
	fetchFile  = "fetch.txt"
	largeFile  = "fetchlarge.txt"
	besideFile = "fetchbeside.txt"
	piecesFile = "fetchnats.txt"
)

// fetches is the part of the report about fetches from another process.
func fetches() map[string]part {
	impl := []string{implKey}
	return map[string]part{
		"fetch-goals": fetchTargets(),
		"fetch-1":     fetchTable("1"),
		"fetch-16":    fetchTable("16"),
		"fetch-128":   fetchTable("128"),
		"fetch-plot": figure{
			files: []string{fetchFile}, name: "fetch.svg", title: "Requests per second against callers",
			x: "callers", unit: perSecond, xLog: true, yLog: true,
			xLabel: "callers, each with one request at a time", yLabel: "requests/s",
		},
		"fetch-p50-plot": figure{
			files: []string{fetchFile}, name: "fetch-p50.svg", title: "Median time of a request against callers",
			x: "callers", unit: p50, xLog: true, yLog: true,
			xLabel: "callers, each with one request at a time", yLabel: "µs",
		},
		"fetch-4k": table{
			files: []string{largeFile}, where: []label{{"size", "4KiB"}}, rows: impl,
			units: []string{perSecond, p50, p99, cpuPerRequest, clientAllocs, serverAllocs, requests},
		},
		"fetch-1m": table{
			files: []string{largeFile}, where: []label{{"size", "1MiB"}}, rows: impl,
			units: []string{megabytes, p50, p99, cpuPerRequest, requests},
		},
		"fetch-beside": table{
			files: []string{besideFile}, rows: impl, columns: []string{"large"},
			units: []string{"alone-p99-us", "beside-p99-us", besideP99, "beside-requests/s", "beside-MB/s"},
		},
		"fetch-nats": table{
			files: []string{piecesFile}, rows: []string{implKey, "size", "callers"},
			units: []string{megabytes, p50, p99, cpuPerRequest, requests},
		},
	}
}

// fetchTable is everything about values of 128 bytes at so many callers.
func fetchTable(callers string) table {
	return table{
		files: []string{fetchFile}, where: []label{{"callers", callers}}, rows: []string{implKey},
		units: []string{perSecond, p50, p99, cpuPerRequest, clientAllocs, serverAllocs, "connections", requests},
	}
}

// fetchTargets are what fetches from peers have to reach.
func fetchTargets() goals {
	small, large, beside, pieces := []string{fetchFile}, []string{largeFile}, []string{besideFile}, []string{piecesFile}
	one, sixteen, many := label{"callers", "1"}, label{"callers", "16"}, label{"callers", "128"}
	return goals{
		{what: "1 caller: p50 ÷ bare net/http's", reach: "≤ 0.35", of: stream, files: small, limit: 0.35, measure: against(netHTTP, p50, one)},
		{what: "the same ÷ memcached's", files: small, measure: against(memcached, p50, one)},
		{what: "the same ÷ Redis'", files: small, measure: against(redis, p50, one)},
		{what: "16 callers: requests/s ÷ bare net/http's", reach: "≥ 4", of: stream, files: small, limit: 4, atLeast: true, measure: against(netHTTP, perSecond, sixteen)},
		{what: "128 callers: requests/s ÷ bare net/http's", reach: "≥ 8", of: stream, files: small, limit: 8, atLeast: true, measure: against(netHTTP, perSecond, many)},
		{what: "the same ÷ Redis' with pipelining", reach: "> 1", of: stream, files: small, limit: 1, atLeast: true, measure: against(redis, perSecond, many)},
		{what: "the same ÷ raw TCP's", reach: "≥ 0.5", of: stream, files: small, limit: 0.5, atLeast: true, measure: against(rawTCP, perSecond, many)},
		{what: "the same: processor time of both sides per request ÷ bare net/http's", reach: "≤ 1/6", of: stream, files: small, limit: 1.0 / 6, measure: against(netHTTP, cpuPerRequest, many)},
		{what: "the same, without a stream: requests/s ÷ bare net/http's", reach: "≥ 3", of: plain, files: small, limit: 3, atLeast: true, measure: against(netHTTP, perSecond, many)},
		{what: "allocations of the client per fetch, the worst case", reach: "≤ 4", of: stream, files: small, limit: 4, measure: worst(clientAllocs)},
		{what: "allocations of the server per fetch, the worst case", reach: "≤ 2", of: stream, files: small, limit: 2, measure: worst(serverAllocs)},
		{what: "4 KiB, 128 callers: requests/s ÷ bare net/http's", reach: "≥ 4", of: stream, files: large, limit: 4, atLeast: true, measure: against(netHTTP, perSecond, label{"size", "4KiB"})},
		{what: "1 MiB, 16 callers: MB/s ÷ bare net/http's", reach: "≥ 1", of: stream, files: large, limit: 1, atLeast: true, measure: against(netHTTP, megabytes, label{"size", "1MiB"})},
		{what: "16 callers beside 4 that get 1 MiB: p99 ÷ alone", reach: "≤ 5", of: stream, files: beside, limit: 5, measure: worst(besideP99, label{"large", "4"})},
		{what: "the same beside 16", reach: "≤ 5", of: stream, files: beside, limit: 5, measure: worst(besideP99, label{"large", "16"})},
		{what: "over NATS, 1 caller: p50 ÷ plain request and reply's", reach: "≤ 1.15", of: overNATS, files: small, limit: 1.15, measure: against(plainNATS, p50, one)},
		{what: "over NATS, 128 callers: requests/s ÷ plain request and reply's", reach: "≥ 2.5", of: overNATS, files: small, limit: 2.5, atLeast: true, measure: against(plainNATS, perSecond, many)},
		{what: "over NATS, allocations of both sides together ÷ plain request and reply's, the worst case", reach: "≤ 1", of: overNATS, files: small, limit: 1, measure: compare([]label{{implKey, plainNATS}}, []string{clientAllocs, serverAllocs})},
		{what: "over NATS, 8 MiB in messages of at most 1 MiB, 1 caller: MB/s ÷ plain replies of 1 MiB", reach: "≥ 0.6", of: overNATS, files: pieces, limit: 0.6, atLeast: true, measure: pieceByPiece("1")},
		{what: "the same, 4 callers", reach: "≥ 0.6", of: overNATS, files: pieces, limit: 0.6, atLeast: true, measure: pieceByPiece("4")},
	}
}

// pieceByPiece compares values that take several messages with plain replies that
// are as large as a message may be.
func pieceByPiece(callers string) func(*data, string) (float64, bool) {
	const size = "size"
	return compare([]label{{implKey, plainNATS}, {size, "1MiB"}}, []string{megabytes}, label{size, "8MiB"}, label{"callers", callers})
}
