package api

import (
	"net/http"
	"strconv"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Headers that say how an answer came about.
const (
	// HeaderSource is hit, hot, owner or loaded.
	HeaderSource = "Gcnode-Source"
	// HeaderOwner is the id of the node that owns the key.
	HeaderOwner = "Gcnode-Owner"
	// HeaderNode is the id of the node that answered.
	HeaderNode = "Gcnode-Node"
)

// Named puts the id of the node into the header of every answer. Whoever does
// not find it there is not talking to a node.
func Named(id string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(HeaderNode, id)
		next.ServeHTTP(w, r)
	})
}

// maxAge is the longest life that an application is told: a year, which
// stands for "forever" too. A cache behind the node hears of no removal.
const maxAge = 365 * 24 * time.Hour

// cacheControl says how long an answer may be kept, in whole seconds rounded
// down. One that is served beyond its life must not be kept at all: told
// max-age=0 instead, a cache behind the node might keep it and serve it in turn
// when it cannot reach the node (RFC 9111, 4.2.4), and add a staleness of its
// own to what the group allows. There is neither Age, since what is told is
// what remains of a life, nor Warning, which is obsolete.
func cacheControl(keep gcnode.Lifetime) string {
	if keep <= 0 {
		return "no-store"
	}
	life := min(time.Duration(keep), maxAge)
	return "max-age=" + strconv.FormatInt(int64(life/time.Second), 10)
}
