package gcnode

import (
	"context"
	"errors"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// askHedged asks the first member of a line, and who comes after it as well when
// that has not answered for a while: the second member, or this node if it is its
// turn. The first answer counts. An error of the second one counts only when the
// first has nothing to say about the key: without a hedge nobody would have asked.
func (g *Group) askHedged(ctx context.Context, call *flight.Call[answer], v *view, line []*peer, key string) (answer, error) {
	type outcome struct {
		a      answer
		err    error
		second bool
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, 2)
	ask := func(second bool) {
		g.node.beginMore()
		go func() {
			defer g.node.end()
			o := outcome{second: second}
			switch {
			case !second:
				o.a, o.err = g.askOne(ctx, call, v, line[0], key)
			case len(line) > 1:
				o.a, o.err = g.askOne(ctx, call, v, line[1], key)
			default:
				o.a, o.err = g.load(ctx, key)
			}
			outcomes <- o
		}()
	}
	ask(false)
	hedge := time.NewTimer(g.node.cfg.HedgeAfter)
	defer hedge.Stop()
	asked, done, failure := 1, 0, errGoOn
	for done < 2 {
		select {
		case <-hedge.C:
			if asked == 1 {
				g.counts.hedges.Add(1)
				asked++
				ask(true)
			}
		case o := <-outcomes:
			done++
			switch {
			case o.err == nil:
				if o.second && done == 1 {
					g.counts.hedgesWon.Add(1)
				}
				return o.a, nil
			case errors.Is(o.err, errGoOn):
			case o.second && done == 1:
				failure = o.err
			default:
				return answer{}, o.err
			}
			if asked == 1 {
				asked++
				ask(true)
			}
		}
	}
	return answer{}, failure
}
