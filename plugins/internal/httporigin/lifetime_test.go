package httporigin

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func TestLifetimes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for fields, want := range map[string]time.Duration{
		"":                                                 -1,
		"Cache-Control: public":                            -1,
		"Cache-Control: max-age=60":                        time.Minute,
		"cache-control: MAX-AGE=60":                        time.Minute,
		"Cache-Control: public, max-age=\"60\"":            time.Minute,
		"Cache-Control: max-age=60, s-maxage=10":           10 * time.Second,
		"Cache-Control: max-age=60\nAge: 15":               45 * time.Second,
		"Cache-Control: max-age=60\nAge: soon":             time.Minute,
		"Cache-Control: max-age=60, max-age=90":            time.Minute,
		"Cache-Control: public\nCache-Control: max-age=60": time.Minute,
		"Cache-Control: max-age=99999999999999999999":      1 << 31 * time.Second,
		"Cache-Control: max-age=-1":                        0,
		"Cache-Control: max-age=60, no-store":              0,
		"Cache-Control: private, max-age=60":               0,
		"Cache-Control: no-cache":                          0,
		"Expires: 0":                                       0,
		"Expires: Fri, 02 Jan 2026 03:05:05 GMT":           time.Minute,
		"Expires: Fri, 02 Jan 2026 03:05:05 GMT\nDate: Fri, 02 Jan 2026 03:03:05 GMT":          2 * time.Minute,
		"Expires: Fri, 02 Jan 2026 03:05:05 GMT\nCache-Control: max-age=5":                     5 * time.Second,
		"Expires: Fri, 02 Jan 2026 03:05:05 GMT\nAge: 10\nDate: Fri, 02 Jan 2026 03:03:05 GMT": 110 * time.Second,
	} {
		var header getter.Header
		for line := range strings.SplitSeq(fields, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			header = append(header, getter.Field{Name: name, Value: value})
		}
		fresh, stated := lifetime(header, now)
		assert.Equal(t, want >= 0, stated, fields)
		if stated {
			assert.Equal(t, want, fresh, fields)
		}
	}
}
