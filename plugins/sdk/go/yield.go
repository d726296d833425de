package getter

import "context"

// Yield lets the instance go on with other keys, whose fetches may be over
// meanwhile, before it returns. A Func that computes for long calls it now and
// then, such as once for each row of a table; it does something once in a
// millisecond. runtime.Gosched is not enough: it lets goroutines run, but the node
// brings the answers to fetches, and further keys, only when all of them wait.
//
// Context ctx must be the one that the Func was called with, or derived from it.
// The error is that of ctx: nobody waits for the answer any more.
func Yield(ctx context.Context) error { return yield(ctx) }
