package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	gcnode "github.com/gcnode/gcnode/core"
)

// Flags are the settings of the command line. Those that are empty leave the
// file's setting as it is.
type Flags struct {
	ID          string
	ListenPeers string
	ListenAPI   string
	ListenAdmin string
	Peers       []string // id=url; if there are any, they replace the file's list
	LogLevel    string
	LogFormat   string
}

// apply puts the flags on top of the file's settings.
func (f Flags) apply(cfg *Config, found *problems) {
	if f.ID != "" {
		if err := checkID(f.ID); err != nil {
			found.addFlag("--id", "%s", err)
		} else {
			cfg.ID = f.ID
		}
	}
	for _, one := range []struct {
		name, value string
		dst         *string
	}{
		{"--listen-peers", f.ListenPeers, &cfg.Listen.Peers},
		{"--listen-api", f.ListenAPI, &cfg.Listen.API},
		{"--listen-admin", f.ListenAdmin, &cfg.Listen.Admin},
	} {
		if one.value == "" {
			continue
		}
		if err := checkAddress(one.value); err != nil {
			found.addFlag(one.name, "%s", err)
		}
		*one.dst = one.value
	}
	f.applyPeers(cfg, found)
	if f.LogLevel != "" {
		level, err := parseLogLevel(f.LogLevel)
		if err != nil {
			found.addFlag("--log-level", "%s", err)
		}
		cfg.Log.Level = level
	}
	if f.LogFormat != "" {
		json, err := parseLogFormat(f.LogFormat)
		if err != nil {
			found.addFlag("--log-format", "%s", err)
		}
		cfg.Log.JSON = json
	}
}

// applyPeers replaces the list of peers.
func (f Flags) applyPeers(cfg *Config, found *problems) {
	if len(f.Peers) == 0 {
		return
	}
	peers := make([]gcnode.Peer, 0, len(f.Peers))
	for _, arg := range f.Peers {
		id, addr, ok := strings.Cut(arg, "=")
		if !ok || id == "" {
			found.addFlag("--peer", "%q must be id=url, such as b=http://10.0.0.6:7001/", arg)
			continue
		}
		if err := checkID(id); err != nil {
			found.addFlag("--peer", "%s", err)
			continue
		}
		addr, err := checkPeerURL(addr)
		if err != nil {
			found.addFlag("--peer", "%s: %s", id, err)
		}
		if slices.ContainsFunc(peers, func(p gcnode.Peer) bool { return p.ID == id }) {
			found.addFlag("--peer", "%q is given twice", id)
			continue
		}
		if i := slices.IndexFunc(peers, func(p gcnode.Peer) bool { return addr != "" && p.Addr == addr }); i >= 0 {
			found.addFlag("--peer", "%s: %q is already the url of %q", id, addr, peers[i].ID)
		}
		peers = append(peers, gcnode.Peer{ID: id, Addr: addr, Weight: 1})
	}
	cfg.Peers = peers
}

// checkID accepts the name of a node: one word that can stand in a header, a
// log line and a metric's label.
func checkID(id string) error {
	if len(id) > gcnode.MaxIDBytes {
		return fmt.Errorf("an id of %d bytes is too long: at most %d", len(id), gcnode.MaxIDBytes)
	}
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r > unicode.MaxASCII }
	if id == "" || !utf8.ValidString(id) || strings.ContainsFunc(id, bad) {
		return fmt.Errorf("%q must be a word of printable ASCII characters, without spaces", id)
	}
	return nil
}

// checkAddress accepts host:port, where the host may be empty.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q must be host:port, such as 127.0.0.1:7001 or [::1]:7001", address)
	}
	if err := checkPort(port, 0); err != nil {
		return fmt.Errorf("%q: %w", address, err)
	}
	return nil
}

// checkPort accepts a port from lowest on.
func checkPort(port string, lowest int) error {
	n, err := strconv.Atoi(port)
	if err != nil || n < lowest || n > math.MaxUint16 {
		return fmt.Errorf("the port %q must be a number from %d to %d", port, lowest, math.MaxUint16)
	}
	return nil
}

// checkPeerURL accepts the address of a peer and completes it with a path.
func checkPeerURL(text string) (string, error) {
	wrong := fmt.Errorf("%q must be a URL such as http://10.0.0.5:7001/", text)
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", wrong
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%w, without user, query and fragment", wrong)
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port, 1); err != nil {
			return "", fmt.Errorf("%q: %w", text, err)
		}
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// What a log can be told.
const (
	logLevels  = "debug, info, warn, error"
	logFormats = "text, json"
)

// parseLogLevel reads the name of a level.
func parseLogLevel(name string) (slog.Level, error) {
	switch name {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	default:
		return 0, fmt.Errorf("%q must be one of %s", name, logLevels)
	}
}

// parseLogFormat reads the name of a format; json is false for text.
func parseLogFormat(name string) (json bool, err error) {
	switch name {
	case "text":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, fmt.Errorf("%q must be one of %s", name, logFormats)
	}
}

// quoted lists words.
func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = strconv.Quote(w)
	}
	return strings.Join(list, ", ")
}
