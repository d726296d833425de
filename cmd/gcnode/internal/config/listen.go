package config

import (
	"net"
	"strconv"
)

// listener is an address to listen on, and where it was set.
type listener struct {
	path    string // of the setting in the file
	flag    string
	flagged bool
	address string
}

// checkListeners checks that no two listeners have the same address. Those
// that let the system choose a port never do.
func (r *reader) checkListeners(cfg *Config, flags Flags) {
	listeners := []listener{
		{path: "listen.api", flag: "--listen-api", flagged: flags.ListenAPI != "", address: cfg.Listen.API},
		{path: "listen.admin", flag: "--listen-admin", flagged: flags.ListenAdmin != "", address: cfg.Listen.Admin},
		{path: "listen.peers", flag: "--listen-peers", flagged: flags.ListenPeers != "", address: cfg.Listen.Peers},
	}
	for i, second := range listeners {
		for _, first := range listeners[:i] {
			if sameAddress(first.address, second.address) {
				r.clash(first, second)
			}
		}
	}
}

// clash reports two listeners with the same address, at the second unless
// that one has its default.
func (r *reader) clash(first, second listener) {
	at, other := second, first
	if r.isDefault(second) {
		at, other = first, second
	}
	name := other.path
	switch {
	case other.flagged:
		name = other.flag
	case r.isDefault(other):
		name = "the default of " + name
	}
	const format = "%q is also %s; every listener needs an address of its own"
	if at.flagged {
		r.problems.addFlag(at.flag, format, at.address, name)
		return
	}
	r.problems.add(r.listen.file, r.listenLine(at), at.path, format, at.address, name)
}

// isDefault reports whether neither the file nor a flag sets the address.
func (r *reader) isDefault(l listener) bool { return !l.flagged && r.listenLine(l) == 0 }

// listenLine is the line where the file sets the address, 0 when it does not.
func (r *reader) listenLine(l listener) int {
	for _, e := range r.listen.entries {
		if r.listen.join(e.key) == l.path {
			return e.line
		}
	}
	return 0
}

// sameAddress reports whether two listeners cannot have these addresses
// because they are the same one.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	numberA, errA := strconv.Atoi(portA)
	numberB, errB := strconv.Atoi(portB)
	return errA == nil && errB == nil && numberA == numberB && numberA != 0 && plainHost(hostA) == plainHost(hostB)
}

// plainHost is a host in one way of writing: every one that stands for all
// addresses is empty.
func plainHost(host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return host
	case ip.IsUnspecified():
		return ""
	default:
		return ip.String()
	}
}
