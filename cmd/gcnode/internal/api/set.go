package api

import (
	"net/http"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// answerTime is how long after its body was received a set may take to be
// answered: what it takes at most, and the time for the application to take the
// answer.
const answerTime = 90 * time.Second

// set stores what the application sends.
func (h *Handler) set(w http.ResponseWriter, r *http.Request, group *gcnode.Group, key string) {
	value, life, err := h.readValue(r)
	if err != nil {
		h.fail(w, r, group, err)
		return
	}
	defer value.release()
	extend(http.NewResponseController(w), answerTime)
	h.finish(w, r, group, "set", group.Set(r.Context(), key, gcnode.Item[gcnode.Value]{
		Value: gcnode.StringValue(value.String()), Keep: life,
	}))
}

// readValue reads the value and its life. Headers that would make something else
// of the body than its bytes are refused.
func (h *Handler) readValue(r *http.Request) (*body, gcnode.Lifetime, error) {
	life, err := lifeOf(r.Header.Values("Cache-Control"))
	if err != nil {
		return nil, 0, err
	}
	if encoding := strings.Join(r.Header.Values("Content-Encoding"), ", "); encoding != "" && encoding != "identity" {
		return nil, 0, malformed("Content-Encoding %.64q: a value is kept and given as it is sent, and nothing would tell its readers of the encoding", encoding)
	}
	if r.Header.Get("Content-Range") != "" {
		return nil, 0, malformed("Content-Range: a value is set as a whole")
	}
	value, err := h.bodies.read(r, "the value", gcnode.MaxValueBytes)
	return value, life, err
}

// extend gives the application that much time, from now on, to take what is
// written. Where there is no deadline to be set, there is none to be extended.
func extend(c *http.ResponseController, d time.Duration) { _ = c.SetWriteDeadline(time.Now().Add(d)) }
