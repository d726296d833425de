package wasm

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	guard, err := newAddressGuard()
	require.NoError(t, err)
	for address, public := range map[string]bool{
		"93.184.216.34":          true,
		"2606:2800:220:1::1":     true,
		"::ffff:93.184.216.34":   true,
		"0.0.0.0":                false,
		"0.1.2.3":                false,
		"10.1.2.3":               false,
		"100.64.0.1":             false,
		"127.0.0.1":              false,
		"127.9.9.9":              false,
		"169.254.169.254":        false,
		"172.16.0.1":             false,
		"172.32.0.1":             true,
		"192.0.0.1":              false,
		"192.168.1.1":            false,
		"198.18.0.1":             false,
		"224.0.0.1":              false,
		"240.0.0.1":              false,
		"255.255.255.255":        false,
		"::":                     false,
		"::1":                    false,
		"::ffff:127.0.0.1":       false,
		"::ffff:10.0.0.1":        false,
		"64:ff9b::7f00:1":        false,
		"64:ff9b:1::1":           false,
		"2002:7f00:1::":          false,
		"fc00::1":                false,
		"fd12::1":                false,
		"fe80::1":                false,
		"fe80::1%eth0":           false,
		"fec0::1":                false,
		"ff02::1":                false,
		"2606:2800:220:1::1%x":   false,
		"fd00:ec2::254":          false,
		"2001:4860:4860::8888":   true,
		"::ffff:169.254.169.254": false,
		"::127.0.0.1":            false,
		"::10.0.0.1":             false,
		"::ffff:0:127.0.0.1":     false,
		"2001:0:a00:1::":         false,
		"2001:0:4136:e378::":     false,
		"2001:200::1":            true,
	} {
		ip := netip.MustParseAddr(address)
		assert.Equal(t, public, guard.public(ip), address)
		assert.Equal(t, public, guard.check("example.com", ip) == nil, address)
		loopback := ip.Unmap().IsLoopback()
		assert.Equal(t, public || loopback, guard.check("localhost", ip) == nil, "localhost as %s", address)
	}
}
