package api

import (
	"math"
	"strconv"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// eternity is the number of seconds that stands for ever, as in RFC 9111, 1.2.2.
const eternity = 1 << 31

// lifeOf reads the life of a value that is set, in the words in which an answer
// tells it: max-age in seconds, or no-store. Without any it is the group's. All
// else is refused rather than passed over: a request that must not be answered
// from a cache (no-cache) means something different. An error is a [*refused].
func lifeOf(headers []string) (gcnode.Lifetime, error) {
	if len(headers) == 0 {
		return 0, nil
	}
	text := strings.ToLower(strings.TrimSpace(strings.Join(headers, ", ")))
	if text == "no-store" {
		return gcnode.NoStore, nil
	}
	digits, ok := strings.CutPrefix(text, "max-age=")
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, malformed("Cache-Control %.64q must be max-age={seconds} or no-store, or be left out for the life that the group gives", text)
	}
	seconds, err := strconv.ParseUint(digits, 10, 64)
	if err != nil { // more than can be counted
		seconds = math.MaxUint64
	}
	if seconds >= eternity {
		return gcnode.Forever, nil
	}
	return gcnode.For(time.Duration(seconds) * time.Second), nil
}

// CacheControl is the header of a value that is set to live that long, which is
// a number of whole seconds, [gcnode.Forever] or [gcnode.NoStore]; empty for the
// life that the group gives.
func CacheControl(life gcnode.Lifetime) string {
	switch {
	case life == 0:
		return ""
	case life < 0:
		return "no-store"
	case life == gcnode.Forever:
		return "max-age=" + strconv.FormatInt(eternity, 10)
	default:
		return "max-age=" + strconv.FormatInt(int64(time.Duration(life)/time.Second), 10)
	}
}
