package guest

// maxIdle is how many workers are kept that have nothing to do.
const maxIdle = 64

// A worker is a goroutine that serves one request after the other. A fresh
// goroutine for each would have to grow its stack each time, which takes longer
// than what a small getter does.
type worker chan *request

// begin serves a request in a goroutine, which runs when the main one yields.
func (in *instance) begin(r *request) {
	var w worker
	if last := len(in.idle) - 1; last >= 0 {
		w = in.idle[last]
		in.idle = in.idle[:last]
	} else {
		w = make(worker, 1)
		go w.work(in)
	}
	w <- r
}

// work ends with a getter that ends its goroutine, or when there are workers
// enough.
func (w worker) work(in *instance) {
	for {
		(<-w).serve()
		if len(in.idle) == maxIdle {
			return
		}
		in.idle = append(in.idle, w)
	}
}
