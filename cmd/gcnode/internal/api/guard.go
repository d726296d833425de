package api

import (
	"log/slog"
	"net/http"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	gcnode "github.com/gcnode/gcnode/core"
)

// rightFor is the right to a group that a request needs; false: none, since the
// method is not possible there.
func rightFor(method, suffix string) (right access.Right, ok bool) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return access.Read, true
	case http.MethodPut:
		return access.Write, true
	case http.MethodDelete:
		return access.Remove, true
	case http.MethodPost:
		if suffix == removalsSuffix {
			return access.Remove, true
		}
		return access.Read, true
	default:
		return 0, false
	}
}

// turnAway answers a request that the guard does not let pass.
func (h *Handler) turnAway(w http.ResponseWriter, r *http.Request, refusal *access.RefusedError) {
	f := failure{status: refusal.Status, message: refusal.Reason, retryAfter: refusal.RetryAfter}
	switch refusal.Status {
	case http.StatusUnauthorized:
		f.kind = kindUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		f.kind = kindTooManyRequests
	default:
		f.kind = kindName(gcnode.KindDenied)
	}
	h.opts.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request turned away",
		slog.String("remote", r.RemoteAddr), slog.Int("status", f.status), slog.String("reason", f.message))
	writeError(w, f)
}
