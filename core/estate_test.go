package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// What a new owner has loaded has ended, and the previous one still has what it
// had loaded before.
func TestANewOwnerDoesNotGoBackToWhatThePreviousOneHas(t *testing.T) {
	for _, op := range []gcnode.Op{gcnode.OpPeek, gcnode.OpKeys} { // what comes late
		t.Run(op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, defaultOptions)
				keys := c.fill(100)
				late := make(chan struct{})
				c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
					select {
					case <-late:
						return transporttest.Fault{}
					default:
					}
					if op == gcnode.OpKeys && m.Request.Op == op && m.Reply != nil {
						return transporttest.Fault{Until: late}
					}
					return transporttest.Fault{Drop: m.Request.Op == gcnode.OpPeek || m.Request.Op == gcnode.OpKeys && op == gcnode.OpPeek}
				})
				c.enter()
				c.join()
				c.origin.keep = gcnode.For(time.Second)
				loads := 0
				get := func() {
					for _, key := range keys {
						if c.groups[2].Owner(key).ID == "n2" {
							c.origin.write(key, 1)
							c.want(2, key, 1, gcnode.SourceLoaded)
							loads++
						}
					}
				}
				get()
				time.Sleep(2 * time.Second)
				close(late)
				synctest.Wait()
				get()
				st := c.groups[2].Stats()
				if loads == 0 || op == gcnode.OpKeys && st.PeekHits == 0 || st.Inherited != 0 {
					t.Errorf("%d loads, %+v", loads, st)
				}
			})
		})
	}
}
