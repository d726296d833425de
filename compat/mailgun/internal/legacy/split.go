package legacy

import "net/http"

// Split is a handler for both kinds of peers at one path: native ones send POST
// requests and Upgrades, and old ones everything else.
func Split(old, native http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost || r.Header.Get("Upgrade") != "" {
			native.ServeHTTP(w, r)
			return
		}
		old.ServeHTTP(w, r)
	})
}
