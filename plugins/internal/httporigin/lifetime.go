package httporigin

import (
	"strconv"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// lifetime is how long an answer is fresh, as RFC 9111 has it for a cache that
// is shared. stated is false if the origin does not say. A result of 0 or less
// is an answer that must not be kept, or not without asking again.
func lifetime(header getter.Header, now time.Time) (fresh time.Duration, stated bool) {
	control := directives(header)
	for _, never := range []string{"no-store", "private", "no-cache"} {
		if _, found := control[never]; found {
			return 0, true
		}
	}
	for _, age := range []string{"s-maxage", "max-age"} {
		if value, found := control[age]; found {
			return seconds(value) - seconds(header.Get("Age")), true
		}
	}
	expires := header.Get("Expires")
	if expires == "" {
		return 0, false
	}
	until, err := time.Parse(httpDate, expires)
	if err != nil {
		return 0, true // such as "0", which means that it has expired
	}
	if date, err := time.Parse(httpDate, header.Get("Date")); err == nil {
		return until.Sub(date) - seconds(header.Get("Age")), true
	}
	return until.Sub(now), true
}

// httpDate is http.TimeFormat, whose package would double the size of a guest.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// directives are those of all Cache-Control fields, with their values.
func directives(header getter.Header) map[string]string {
	found := map[string]string{}
	for _, f := range header {
		if !strings.EqualFold(f.Name, "Cache-Control") {
			continue
		}
		for part := range strings.SplitSeq(f.Value, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			name = strings.ToLower(strings.TrimSpace(name))
			if _, repeated := found[name]; !repeated {
				found[name] = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return found
}

// seconds reads a number of seconds; what is none is 0, and the result is at
// most 2^31 s.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !strings.Contains(err.Error(), strconv.ErrRange.Error()) {
		return 0
	}
	return time.Duration(min(n, 1<<31)) * time.Second
}
