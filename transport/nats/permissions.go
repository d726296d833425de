package natstransport

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// settleTimeout bounds the time for NATS to take subscriptions.
	settleTimeout = 10 * time.Second
	// controlPrefix is what the subjects of the tools for micro services begin
	// with.
	controlPrefix = "$SRV."
)

// settle returns when NATS has looked at what was subscribed and published on a
// connection. It fails if that is not allowed on a subject with one of the
// prefixes. NATS says this to the connection alone, whose last error was another
// one before.
func settle(nc *nats.Conn, before error, prefixes ...string) error {
	if err := nc.FlushTimeout(settleTimeout); err != nil {
		return fmt.Errorf("wait for NATS to take what was said on %s>: %w", prefixes[0], err)
	}
	err := nc.LastError()
	if err == before || !errors.Is(err, nats.ErrPermissionViolation) { //nolint:errorlint // that very one
		return nil
	}
	for _, ours := range prefixes {
		if strings.Contains(err.Error(), `"`+ours) {
			return fmt.Errorf("the user of the connection lacks a permission that a node needs: %w", err)
		}
	}
	return nil
}
