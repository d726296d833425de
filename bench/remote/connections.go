package remote

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Connections is how many connections of TCP and IPv4 there are from this
// machine to the server; 0 where there is no such list as Linux has.
func (p *Process) Connections() (int, error) {
	addr, err := netip.ParseAddrPort(p.addr)
	if err != nil {
		return 0, err
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, nil //nolint:nilerr // not on Linux
	}
	const (
		remoteAddr, state = 2, 3 // the columns
		established       = "01"
	)
	n := 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > state && fields[state] == established && strings.HasSuffix(fields[remoteAddr], fmt.Sprintf(":%04X", addr.Port())) {
			n++
		}
	}
	return n, nil
}
