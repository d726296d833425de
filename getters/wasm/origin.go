package wasm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// origin is a scheme, host and port in the one form in which they are
// compared: lower case, the port always written.
type origin struct {
	scheme, host, port string
}

func (o origin) String() string { return o.scheme + "://" + o.address() }

// address is what a connection to the origin is dialled with.
func (o origin) address() string { return net.JoinHostPort(o.host, o.port) }

// parseOrigin reads an entry of [Options.AllowFetch].
func parseOrigin(entry string) (origin, error) {
	o, err := readOrigin(entry)
	if err != nil {
		return origin{}, fmt.Errorf("AllowFetch (allow_fetch in a node's configuration) has the entry %q: %w", entry, err)
	}
	return o, nil
}

func readOrigin(entry string) (origin, error) {
	u, err := url.Parse(entry)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return origin{}, errors.New("it is not of the form scheme://host[:port]")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return origin{}, fmt.Errorf("an origin ends after the port, write %q", u.Scheme+"://"+u.Host)
	}
	if strings.Contains(u.Host, "*") {
		return origin{}, errors.New("there are no wildcards, list every host")
	}
	return originOf(u)
}

// originOf is the origin of an http or https URL.
func originOf(u *url.URL) (origin, error) {
	o := origin{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname()), port: u.Port()}
	switch {
	case o.scheme != "http" && o.scheme != "https":
		return origin{}, fmt.Errorf("the scheme %q is neither http nor https", printable(u.Scheme, maxNameShown))
	case o.host == "":
		return origin{}, errors.New("there is no host")
	case o.port == "" && o.scheme == "http":
		o.port = "80"
	case o.port == "":
		o.port = "443"
	}
	port, err := strconv.ParseUint(o.port, 10, 16)
	if err != nil || port == 0 {
		return origin{}, fmt.Errorf("the port %q is not between 1 and 65535", printable(o.port, maxNameShown))
	}
	o.port = strconv.FormatUint(port, 10)
	if ip, err := netip.ParseAddr(o.host); err == nil {
		o.host = ip.String()
	}
	return o, nil
}

// allowList is the set of origins that a module may fetch from.
type allowList map[origin]struct{}

// parseAllowList reads [Options.AllowFetch]; the error names every bad entry.
func parseAllowList(entries []string) (allowList, error) {
	list := make(allowList, len(entries))
	var errs []error
	for _, e := range entries {
		o, err := parseOrigin(e)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list[o] = struct{}{}
	}
	return list, errors.Join(errs...)
}

// check reports why u must not be fetched.
func (l allowList) check(u *url.URL) error {
	o, err := originOf(u)
	if err != nil {
		return err
	}
	if _, ok := l[o]; !ok {
		return fmt.Errorf("%w: %s is not on the allow-list", errFetchDenied, printable(o.String(), maxNameShown))
	}
	return nil
}
