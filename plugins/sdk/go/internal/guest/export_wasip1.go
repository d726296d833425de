package guest

import "runtime"

// The results of exports.
const (
	done    int32 = 0
	pending int32 = 1
	failed  int32 = -1
)

// The exports are used by nodes, which tools that look for unused code do not
// know about.
var (
	_ = abi1
	_ = configure
	_ = get
	_ = resume
	_ = cancel
)

//go:wasmexport gcnode_abi_1
func abi1() {}

//go:wasmexport gcnode_configure
func configure(size int32) int32 {
	defer runtime.Gosched()
	if err := running.configure(size); err != nil {
		writeLog(Error, err.Error())
		return failed
	}
	return done
}

//go:wasmexport gcnode_get
func get(req, _ int32) int32 {
	r := running.newRequest(req)
	running.begin(r)
	running.enter()
	return running.resultOf(r)
}

//go:wasmexport gcnode_resume
func resume(req, call, size int32) int32 {
	r := running.requests[req]
	if r == nil {
		return failed
	}
	if err := running.deliver(call, size); err != nil {
		writeLog(Error, err.Error())
		return failed
	}
	running.enter()
	return running.resultOf(r)
}

// cancel ends a request whose goroutines learn it from their context, when the
// node calls the next time.
//
//go:wasmexport gcnode_cancel
func cancel(req int32) {
	if r := running.requests[req]; r != nil {
		r.close()
	}
}

// GetMany is the export for batches, which only getters have that want it.
func GetMany(base, count int32) int32 {
	requests := running.newBatch(base, count)
	running.enter()
	result := done
	for _, r := range requests {
		result = max(result, running.resultOf(r))
	}
	return result
}
