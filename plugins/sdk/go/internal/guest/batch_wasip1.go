package guest

// batchWidth is how many requests of a batch have a goroutine at the same time:
// each takes memory, of which an instance has little.
const batchWidth = 256

// newBatch begins the requests of a batch, which have consecutive numbers.
func (in *instance) newBatch(base, count int32) []*request {
	requests := make([]*request, count)
	for i := range requests {
		r := in.newRequest(base + int32(i))
		in.requests[r.id] = r
		requests[i] = r
	}
	waiting := requests
	var next func()
	next = func() {
		for len(waiting) > 0 {
			r := waiting[0]
			waiting = waiting[1:]
			if !r.over {
				r.then = next
				in.begin(r)
				return
			}
		}
	}
	for range min(count, batchWidth) {
		next()
	}
	return requests
}
