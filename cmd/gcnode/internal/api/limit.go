package api

import (
	"fmt"
	"net/http"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Limit lets at most requests requests through at a time and answers the
// others at once: 503, to be tried again.
func Limit(requests int, next http.Handler) http.Handler {
	places := make(chan struct{}, requests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			writeError(w, failure{
				status: http.StatusServiceUnavailable, kind: kindName(gcnode.KindOverloaded), retryAfter: time.Second,
				message: fmt.Sprintf("the node is answering %d requests already, which is its limit", requests),
			})
		}
	})
}
