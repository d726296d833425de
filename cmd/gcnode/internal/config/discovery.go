package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

// The bounds of the settings of discovery.
const (
	maxAnswers = 1_000_000
	// maxDNSName is the longest name that the DNS has, with its dot.
	maxDNSName = 254
)

// Discovery says where the list of members comes from instead of from the
// configuration. The zero value is from nowhere.
type Discovery struct {
	// File is a list that is watched; empty: none.
	File string
	// DNS is a name whose records are the members; empty: none.
	DNS     string
	Records discovery.Records
	Port    uint16 // where all listen, with A and AAAA records
	Server  string // host:port; empty: the servers of the system
	// Refresh and Timeout are 0 for the defaults of the source.
	Refresh, Timeout time.Duration
	// Confirm is how many answers in a row a change needs.
	Confirm int
	// TLS says that members are reached by https.
	TLS bool
	// HoldBack says what confirms a list that loses most of the members.
	HoldBack discovery.HoldBack
}

// On reports whether the list of members comes from there.
func (d Discovery) On() bool { return d.File != "" || d.DNS != "" }

// String says where from.
func (d Discovery) String() string {
	if d.File != "" {
		return d.File
	}
	return fmt.Sprintf("%v records of %s", d.Records, d.DNS)
}

// Source makes the source of the list.
func (d Discovery) Source() (discovery.Source, error) {
	if d.File != "" {
		return discovery.NewFile(d.fileOptions())
	}
	return discovery.NewDNS(discovery.DNSOptions{
		Name: d.DNS, Records: d.Records, Port: d.Port, Server: d.Server, Refresh: d.Refresh, Timeout: d.Timeout,
		Address: d.address,
	})
}

// address is that of a member which the DNS has.
func (d Discovery) address(hostport string) string {
	if d.TLS {
		return "https://" + hostport + "/"
	}
	return "http://" + hostport + "/"
}

func (d Discovery) fileOptions() discovery.FileOptions {
	return discovery.FileOptions{Path: d.File, Refresh: d.Refresh, Check: d.checkMember}
}

// checkMember looks at a member of a file as at one of the configuration.
func (d Discovery) checkMember(p *gcnode.Peer) error {
	if err := checkID(p.ID); err != nil {
		return err
	}
	addr, err := checkPeerURL(p.Addr)
	if err != nil {
		return err
	}
	if d.TLS && strings.HasPrefix(addr, "http:") {
		return fmt.Errorf("the url %s must begin with https, because of peer_tls", addr)
	}
	p.Addr = addr
	return nil
}

// discovery reads where the list of members comes from.
func (r *reader) discovery(file *section, cfg *Config) {
	at, ok := file.take("discovery")
	if !ok {
		return
	}
	in := newSection(file.file, at.path, at.node, file.problems)
	in.line = at.line
	d := &cfg.Discovery
	if _, ok := in.text("file", "a file with the members, such as peers.yaml", &d.File); ok {
		d.File = r.path(d.File)
	}
	if t, ok := in.text("dns", "a name such as peers.example.com.", &d.DNS); ok {
		if len(d.DNS) > maxDNSName || strings.ContainsFunc(d.DNS, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.wrong("%.64q must be a name such as peers.example.com.", d.DNS)
		}
	}
	r.records(in, &d.Records)
	port := 0
	in.count("port", &port, 1, math.MaxUint16)
	d.Port = uint16(port)
	if t, ok := in.text("server", "the address of a DNS server, such as 10.0.0.2:53", &d.Server); ok {
		if host, port, err := net.SplitHostPort(d.Server); err != nil || host == "" || checkPort(port, 1) != nil {
			t.wrong("%q must be the address of a DNS server, such as 10.0.0.2:53", d.Server)
		}
	}
	in.duration("refresh", &d.Refresh, smallestTimeout, longestTime, nil)
	in.duration("timeout", &d.Timeout, smallestTimeout, longestTime, nil)
	in.count("confirm", &d.Confirm, 1, maxAnswers)
	hold := in.section("hold_back")
	hold.count("answers", &d.HoldBack.Answers, 1, maxAnswers)
	hold.duration("for", &d.HoldBack.For, smallestTimeout, longestTime, nil)
	hold.close()
	in.close()
	switch {
	case in.broken:
	case cfg.NATS != nil:
		in.checkConfirmation(hold)
	default:
		r.discovered = at
		in.checkDiscovery(at, d, hold)
	}
}

// records reads the type of the records.
func (r *reader) records(in *section, dst *discovery.Records) {
	var name string
	t, ok := in.text("records", "one of a, aaaa, srv", &name)
	if !ok {
		return
	}
	for _, one := range []discovery.Records{discovery.A, discovery.AAAA, discovery.SRV} {
		if strings.EqualFold(name, one.String()) {
			*dst = one
			return
		}
	}
	t.wrong("%q must be one of a, aaaa, srv", name)
}

// checkDiscovery checks that the settings of discovery fit together.
func (s *section) checkDiscovery(at setting, d *Discovery, hold *section) {
	file, dns := s.find("file") != nil, s.find("dns") != nil
	if file == dns {
		at.wrong("must have either file or dns, which say where the list of members comes from")
		return
	}
	if file {
		for _, key := range []string{"records", "port", "server", "timeout"} {
			s.useless(key, "is of no use with file; it says how to ask the DNS")
		}
	} else if d.Records == discovery.SRV {
		s.useless("port", "is of no use with SRV records, which say the ports")
	} else if s.find("port") == nil {
		s.missing("port", fmt.Sprintf("%v records do not say on which port the members listen (or use srv records)", d.Records))
	}
	s.checkHoldBack(hold)
}

// checkConfirmation checks the settings of discovery where nodes find each
// other: they can only say what confirms a list.
func (s *section) checkConfirmation(hold *section) {
	for _, key := range []string{"file", "dns", "records", "port", "server", "refresh", "timeout"} {
		s.useless(key, "is of no use with transport: nats; the nodes find each other")
	}
	s.checkHoldBack(hold)
}

func (s *section) checkHoldBack(hold *section) {
	if s.find("hold_back") != nil && len(hold.entries) == 0 && !hold.broken {
		s.wrongKey("hold_back", "must have answers or for, which say what confirms a list that loses most of the members")
	}
}

// useless reports a setting that has no effect, if it is there.
func (s *section) useless(key, message string) {
	if s.find(key) != nil {
		s.wrongKey(key, message)
	}
}

// checkDiscovered checks that the id and the listener of the node fit where
// the list of members comes from.
func (r *reader) checkDiscovered(file *section, cfg *Config, flags Flags) {
	switch {
	case len(flags.Peers) > 0: // replace it
		return
	case len(cfg.Peers) > 0:
		r.discovered.wrong("cannot stand beside peers; the members come from one of them")
		return
	case (cfg.Discovery.File == "") == (cfg.Discovery.DNS == ""): // reported
		return
	}
	r.needListener(cfg, flags)
	named := file.find("id") != nil || flags.ID != ""
	if !named && cfg.Discovery.DNS != "" && cfg.Discovery.Records != discovery.SRV {
		// The address that it listens on is what the DNS says of it.
		if addr, err := netip.ParseAddrPort(cfg.Listen.Peers); err == nil && !addr.Addr().IsUnspecified() {
			cfg.ID, named = addr.String(), true
		}
	}
	switch {
	case !named && cfg.Discovery.File != "":
		file.missing("id", "a node needs to know which of the members it is (id in the file, or --id)")
	case !named:
		file.missing("id", "a node needs to know which of the members it is: "+cfg.Discovery.ownID())
	case cfg.ID == "": // wrong, and reported
	case cfg.Discovery.File != "":
		r.checkMemberFile(cfg)
	default:
		if err := cfg.Discovery.checkOwnID(cfg.ID); err != nil {
			r.discovered.wrong("%s", err)
		}
	}
}

// ownID says what the id of a node is with the DNS.
func (d Discovery) ownID() string {
	if d.Records == discovery.SRV {
		return "its target and port as in the SRV records, such as cache-0.peers.example.com:7001"
	}
	example := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), max(d.Port, 1))
	if d.Records == discovery.AAAA {
		example = netip.AddrPortFrom(netip.MustParseAddr("fd00::5"), max(d.Port, 1))
	}
	return fmt.Sprintf("its address as in the %v records and the port, such as %s", d.Records, example)
}

// checkOwnID refuses an id that no record can give the node.
func (d Discovery) checkOwnID(id string) error {
	wrong := fmt.Errorf("the id of the node, %q, must be %s", id, d.ownID())
	host, port, err := net.SplitHostPort(id)
	if err != nil || checkPort(port, 1) != nil {
		return wrong
	}
	if d.Records == discovery.SRV {
		if host == "" || host != strings.ToLower(host) || strings.HasSuffix(host, ".") {
			return wrong
		}
		return nil
	}
	addr, err := netip.ParseAddrPort(id)
	if err != nil || addr.String() != id || addr.Addr().Is4() != (d.Records == discovery.A) {
		return wrong
	}
	if d.Port != 0 && strconv.Itoa(int(d.Port)) != port {
		return wrong
	}
	return nil
}

// checkMemberFile checks the list that the node starts with.
func (r *reader) checkMemberFile(cfg *Config) {
	source, err := discovery.NewFile(cfg.Discovery.fileOptions())
	if err != nil {
		r.discovered.wrong("%s", err)
		return
	}
	peers, err := source.Read()
	if err != nil {
		for line := range strings.Lines(err.Error()) { // one for each problem
			r.discovered.wrong("%s", strings.TrimSuffix(line, "\n"))
		}
		return
	}
	ids := make([]string, 0, len(peers))
	for _, p := range peers {
		ids = append(ids, p.ID)
	}
	if !slices.Contains(ids, cfg.ID) {
		r.discovered.wrong("%s: the list must include this node, %q; it has %s", cfg.Discovery.File, cfg.ID, quoted(ids))
	}
}
