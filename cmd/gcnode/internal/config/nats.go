package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/gcnode/gcnode/transport/http/certs"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

const (
	transports = "http, nats"

	maxClusterName    = 64
	shortestHeartbeat = 20 * time.Millisecond
	longestHeartbeat  = time.Minute
	minStoreBytes     = 1 * mebibyte
	minRouteSecret    = 16
	routeExample      = "10.0.0.5:7001"
	jwtDots           = 2 // between the parts of a JWT
	shortestArchive   = time.Minute
	longestArchive    = 30 * 24 * time.Hour
	maxReplicas       = 5 // JetStream has no more
)

// NATS says how nodes talk over NATS, and through which servers.
type NATS struct {
	// URLs are those of the servers; empty: Embedded is the server.
	URLs     []string
	Embedded *EmbeddedNATS
	// Cluster is a part of all subjects; empty: the default of the transport.
	Cluster string
	// Heartbeat is how often the node announces itself.
	Heartbeat time.Duration
	// Weight is the share of keys that the node takes, beside those of others.
	Weight uint16
	// User and Password, Token, the file with the seed of an NKey, or one with
	// a JWT and its seed say who the node is. All empty: nothing does.
	User, Password, Token string
	NKey, Creds           string
	// Archive keeps removals for nodes that are away; nil: nothing does.
	Archive *NATSArchive
	// TLS are the files for connections to servers. Without CA the authorities
	// of the system are believed, and without Cert none is shown.
	TLS certs.Files
}

// Authenticated reports whether the node says who it is.
func (n *NATS) Authenticated() bool {
	return n.User != "" || n.Token != "" || n.NKey != "" || n.Creds != ""
}

// NATSArchive is a stream of JetStream that keeps removals. The options are those
// of [natstransport.ArchiveOptions], and for the node that makes the stream.
type NATSArchive struct {
	MaxAge   time.Duration
	MaxBytes int64
	Replicas int
}

// EmbeddedNATS is a NATS server within the node. The address for the servers of
// the other nodes is [Listen.Peers].
type EmbeddedNATS struct {
	// Routes are addresses where other nodes listen, of which one that is there
	// is enough.
	Routes []string
	// Secret is that by which the servers know each other; empty: there is none.
	Secret string
	// Clients is where other programs reach the server; empty: nowhere.
	Clients string
	// StoreDir is where JetStream keeps its streams; empty: there is no
	// JetStream. They have MaxStore bytes at most.
	StoreDir string
	MaxStore int64
}

// DefaultHeartbeat is how often a node announces itself over NATS.
const DefaultHeartbeat = time.Second

// DefaultStore bounds what JetStream keeps.
const DefaultStore = 1 * gibibyte

// transport reads what members talk over.
func (r *reader) transport(file *section, cfg *Config) {
	name := "http"
	t, ok := file.text("transport", "one of "+transports, &name)
	switch {
	case !ok, name == "http":
	case name == "nats":
		cfg.NATS = &NATS{Heartbeat: DefaultHeartbeat, Weight: 1}
	default:
		t.wrong("%q must be one of %s", name, transports)
	}
	in := file.section("nats")
	switch {
	case cfg.NATS != nil:
		r.nats(file, in, cfg.NATS)
	case file.find("nats") != nil && (!ok || name == "http"):
		file.wrongKey("nats", "is of no use without transport: nats")
	}
}

// nats reads how members talk over NATS.
func (r *reader) nats(file, in *section, n *NATS) {
	r.natsURLs(in, n)
	embedded := false
	in.boolean("embedded", &embedded)
	if t, ok := in.text("cluster", "a name that becomes a part of subjects, such as shop", &n.Cluster); ok {
		if len(n.Cluster) > maxClusterName || strings.Trim(n.Cluster, plainKey) != "" {
			t.wrong("%.100q must have up to %d letters, digits, - and _", n.Cluster, maxClusterName)
		}
	}
	in.duration("heartbeat", &n.Heartbeat, shortestHeartbeat, longestHeartbeat, nil)
	weight := 1
	in.count("weight", &weight, 1, maxWeight)
	n.Weight = uint16(weight)
	r.natsCredentials(in, n)
	r.natsTLS(in.section("tls"), n)
	n.Archive = natsArchive(in)
	server := r.embeddedNATS(in)
	in.close()
	switch {
	case in.broken:
	case embedded && in.find("url") != nil:
		in.wrongKey("url", "cannot stand beside embedded; the nodes use either servers that are there, or their own")
		n.URLs = nil
	case embedded:
		n.Embedded = server
		r.checkEmbedded(in)
		if n.Archive != nil && in.find("jetstream") == nil {
			in.wrongKey("archive", "needs jetstream beside embedded: the servers within the nodes keep it")
		}
	case file.find("nats") == nil || in.find("url") == nil:
		in.missing("url", "the servers that connect the nodes, such as nats://10.0.0.2:4222 (or embedded: true, and each node is one)")
	default:
		for _, key := range []string{"routes", "secret", "clients", "jetstream"} {
			in.useless(key, "is of no use without embedded: true; it is for the server within the node")
		}
	}
}

// natsURLs reads the addresses of servers, one or a list.
func (r *reader) natsURLs(in *section, n *NATS) {
	const what = "the URL of a NATS server, such as nats://10.0.0.2:4222"
	at, ok := in.take("url")
	if !ok {
		return
	}
	items := []setting{at}
	if describe(at.node) == "a list" {
		if items = at.items(what); len(items) == 0 {
			at.wrong("must be %s, or a list of them", what)
		}
	}
	for _, item := range items {
		text, ok := item.scalar(what)
		if !ok {
			continue
		}
		if err := checkServerURL(text); err != nil {
			item.wrong("%s", err)
		}
		n.URLs = append(n.URLs, text)
	}
}

// checkServerURL accepts the address of a NATS server.
func checkServerURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "" {
		return fmt.Errorf("%q must be the URL of a NATS server, such as nats://10.0.0.2:4222 (or tls, ws, wss)", redacted(text))
	}
	if u.User != nil {
		return fmt.Errorf("%q has a secret in it; set user and password, or token, which come from files or the environment", redacted(text))
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port, 1); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

// redacted is a URL without what comes before the host.
func redacted(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if _, host, has := strings.Cut(rest, "@"); ok && has {
		return scheme + "://…@" + host
	}
	return text
}

// natsCredentials reads what says who the node is: one way at most.
func (r *reader) natsCredentials(in *section, n *NATS) {
	var ways []string
	if in.find("user") != nil || in.find("password") != nil {
		ways = append(ways, "user")
		in.text("user", "the name of a user of the NATS server", &n.User)
		n.Password = r.oneSecret(in, "password", "the password of the user", 1)
		for _, key := range []string{"user", "password"} {
			if in.find(key) == nil {
				in.missing(key, "a user needs a name and a password")
			}
		}
	} else {
		in.known = append(in.known, "user", "password")
	}
	if n.Token = r.oneSecret(in, "token", "the token", 1); in.find("token") != nil {
		ways = append(ways, "token")
	}
	for _, one := range []struct {
		key, what string
		dst       *string
		check     func(path string) error
	}{
		{"nkey", "a file with the seed of an NKey, such as node.nk", &n.NKey, checkSeed},
		{"creds", "a file with a JWT and its seed, such as node.creds", &n.Creds, checkCreds},
	} {
		t, ok := in.text(one.key, one.what, one.dst)
		if in.find(one.key) != nil {
			ways = append(ways, one.key)
		}
		if !ok {
			continue
		}
		*one.dst = r.path(*one.dst)
		if err := one.check(*one.dst); err != nil {
			t.wrong("%s", err)
		}
	}
	if len(ways) > 1 {
		in.wrongKey(ways[1], "there is "+ways[0]+" already; a node says in one way who it is")
	}
}

// oneSecret reads a secret of a file or of a variable of the environment, empty
// if it is not there.
func (r *reader) oneSecret(in *section, key, what string, minBytes int) string {
	if in.find(key) == nil {
		in.known = append(in.known, key)
		return ""
	}
	at, content, ok := r.secretText(in.section(key), what)
	if !ok {
		return ""
	}
	lines := secretLines(content)
	if len(lines) != 1 {
		at.wrong("there must be one secret in it, not %d", len(lines))
		return ""
	}
	checkSecret(at, lines[0], minBytes)
	return lines[0]
}

// checkSeed looks whether the seed in a file is one of a user. It is not shown.
func checkSeed(path string) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	pair, err := nkeys.ParseDecoratedUserNKey(data)
	if err != nil {
		return fmt.Errorf("there is no seed of a user in %s (it begins with SU)", filepath.Base(path))
	}
	pair.Wipe()
	return nil
}

// checkCreds looks whether there are a JWT and a seed in a file.
func checkCreds(path string) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	pair, err := nkeys.ParseDecoratedUserNKey(data)
	token := ""
	if err == nil {
		pair.Wipe()
		token, err = nkeys.ParseDecoratedJWT(data)
	}
	if err != nil || strings.Count(token, ".") != jwtDots {
		return fmt.Errorf("there are no JWT and seed of a user in %s, as nsc and nk write them", filepath.Base(path))
	}
	return nil
}

// natsTLS reads the certificates for connections to servers.
func (r *reader) natsTLS(in *section, n *NATS) {
	for _, one := range []struct {
		key, what string
		dst       *string
	}{
		{"ca", "a file with the authorities that are believed, such as ca.crt", &n.TLS.CA},
		{"cert", "a file with the certificate that is shown, such as node.crt", &n.TLS.Cert},
		{"key", "a file with the key of the certificate, such as node.key", &n.TLS.Key},
	} {
		if _, ok := in.text(one.key, one.what, one.dst); ok {
			*one.dst = r.path(*one.dst)
		}
	}
	in.close()
	var err error
	switch {
	case (n.TLS.Cert == "") != (n.TLS.Key == ""):
		err = errors.New("a certificate and its key are needed, or neither")
	case n.TLS.Cert != "":
		err = n.TLS.Check()
	case n.TLS.CA != "":
		_, err = certs.Authorities(n.TLS.CA)
	}
	if err != nil {
		in.problems.add(in.file, in.line, in.path, "%s", err)
	}
}

// embeddedNATS reads what the server within the node is told to be.
func (r *reader) embeddedNATS(in *section) *EmbeddedNATS {
	server := &EmbeddedNATS{MaxStore: DefaultStore}
	for _, route := range in.texts("routes", "addresses where nodes listen for each other, such as "+routeExample) {
		if host, port, err := net.SplitHostPort(route.value); err != nil || host == "" || checkPort(port, 1) != nil {
			route.wrong("%q must be an address of a node, host:port as in its listen.peers, such as %s", route.value, routeExample)
		}
		server.Routes = append(server.Routes, route.value)
	}
	server.Secret = r.oneSecret(in, "secret", "the secret of the servers", minRouteSecret)
	r.address(in, "clients", &server.Clients)
	store := in.section("jetstream")
	if t, ok := store.text("dir", "a directory, such as jetstream", &server.StoreDir); ok {
		server.StoreDir = r.path(server.StoreDir)
		if err := checkStore(server.StoreDir); err != nil {
			t.wrong("%s", err)
		}
	}
	store.size("max_bytes", &server.MaxStore, minStoreBytes, maxGroupBytes)
	store.close()
	if in.find("jetstream") != nil && store.find("dir") == nil {
		store.missing("dir", "JetStream needs a directory for its streams, which belongs to this node alone")
	}
	return server
}

// natsArchive reads how removals are kept for nodes that are away; nil: they are
// not.
func natsArchive(in *section) *NATSArchive {
	a := &NATSArchive{MaxAge: natstransport.DefaultArchiveAge, MaxBytes: natstransport.DefaultArchiveBytes, Replicas: 1}
	archive := in.section("archive")
	archive.duration("max_age", &a.MaxAge, shortestArchive, longestArchive, nil)
	archive.size("max_bytes", &a.MaxBytes, minStoreBytes, maxGroupBytes)
	archive.count("replicas", &a.Replicas, 1, maxReplicas)
	archive.close()
	if in.find("archive") == nil {
		return nil
	}
	return a
}

// checkStore refuses a place where no directory can be.
func checkStore(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s must be a directory", dir)
	case err != nil && !os.IsNotExist(err):
		return pathError(err)
	default:
		return nil
	}
}

// checkEmbedded checks that the settings fit a server within the node.
func (r *reader) checkEmbedded(in *section) {
	if in.find("routes") == nil {
		in.missing("routes", "addresses where nodes listen for each other (listen.peers), by which this one finds them, such as ["+routeExample+"]")
	}
	for _, key := range []string{"nkey", "creds", "tls"} {
		in.useless(key, "is of no use with embedded: true; it is for connections to servers that are there")
	}
	for _, key := range []string{"user", "token"} {
		if in.find("clients") == nil {
			in.useless(key, "is of no use without clients; nobody but the node reaches its server otherwise, and other servers need secret")
		}
	}
}

// checkNATS checks that the other settings fit members that talk over NATS.
func (r *reader) checkNATS(file *section, cfg *Config, flags Flags) {
	for _, one := range []struct{ key, why string }{
		{"peers", "the nodes find each other"},
		{"peer_secrets", "the servers say who may connect (nats.user, nats.secret and the like)"},
		{"peer_access", "the permissions of NATS say who may do what"},
	} {
		file.useless(one.key, "is of no use with transport: nats; "+one.why)
	}
	if len(flags.Peers) > 0 {
		r.problems.addFlag("--peer", "is of no use with transport: nats; the nodes find each other")
	}
	if cfg.ID == "" && file.find("id") == nil && flags.ID == "" {
		file.missing("id", "every node needs one that no other has (id in the file, or --id)")
	}
	switch {
	case cfg.NATS.Embedded != nil:
		r.needListener(cfg, flags)
	case len(cfg.NATS.URLs) > 0:
		const useless = "is of no use with nats.url; the nodes reach each other through the servers"
		r.listen.useless("peers", useless)
		if flags.ListenPeers != "" {
			r.problems.addFlag("--listen-peers", useless)
		}
		file.useless("peer_tls", "is of no use with nats.url; nats.tls is for the connections to the servers")
	}
}
