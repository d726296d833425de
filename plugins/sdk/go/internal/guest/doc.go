// Package guest is the side of a getter that faces the node: the exports and
// imports of the guest ABI, and the goroutines of requests. Natively it is
// empty.
//
// A node enters an instance with one call at a time, and its runtime runs
// goroutines only meanwhile. Each request has a goroutine. An export begins or
// continues one, and lets all goroutines run until they wait: then it returns,
// and the node calls again when the answer to a fetch is there. So getters are
// ordinary code that blocks, and an instance has many requests.
//
//	node           export (main goroutine)      goroutines of requests
//	get A      →   changes places with one      A fetches: fetch_start, waits
//	           ←   pending
//	get B      →   the same with another        B computes, responds
//	           ←   done
//	resume A   →   hand over the answer, yield  A goes on, responds
//	           ←   done
package guest
