package natstransport

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// DefaultCluster is the default of the name of a cluster.
	DefaultCluster = "default"
	// maxClusterBytes bounds the name of a cluster.
	maxClusterBytes = 64
	// prefix is what all subjects begin with.
	prefix = "gcnode."
	// openToken is the last one of the subject to open a stream at an instance.
	openToken = "open"
	// confirmedToken is the last one of the subject where a client hears what its
	// broadcasts are answered. It is no number of a stream.
	confirmedToken = "-"
	// removalsToken, endsToken and reportsToken are the last ones of the subjects
	// for what is broadcast.
	removalsToken = "removals"
	endsToken     = "ends"
	reportsToken  = "reports"
)

// subjects are those of a cluster. It is what all begin with: "gcnode.", the name of the cluster, and ".".
type subjects string

func newSubjects(cluster string) (subjects, error) {
	if cluster == "" {
		cluster = DefaultCluster
	}
	if len(cluster) > maxClusterBytes || !isToken(cluster) {
		return "", fmt.Errorf("the cluster name %q is not 1 to %d letters, digits, - and _ (it becomes a part of NATS subjects)", cluster, maxClusterBytes)
	}
	return subjects(prefix + cluster + "."), nil
}

// node is where a stream to the member with an ID is opened.
func (s subjects) node(id string) string { return string(s) + "node." + token(id) }

// at is where packets for one stream of an instance of a member go, or of any
// of them with "*".
func (s subjects) at(instance, stream string) string {
	return string(s) + "at." + instance + "." + stream
}

// back is where packets for one stream of a client go, or of any of them with
// "*".
func (s subjects) back(client, stream string) string {
	return string(s) + "back." + client + "." + stream
}

// stats is where a member answers who asks for figures.
func (s subjects) stats(id string) string { return string(s) + "stats." + token(id) }

// members is where members announce themselves.
func (s subjects) members() string { return string(s) + "members" }

// event is where what all members are to hear is broadcast: removals, their
// ends, reports, or all of them with "*".
func (s subjects) event(kind string) string { return string(s) + "events." + kind }

// cluster is the name of the cluster.
func (s subjects) cluster() string {
	return strings.TrimSuffix(strings.TrimPrefix(string(s), prefix), ".")
}

// opening is where a stream to a member is opened. The address of a member is
// empty, or the instance that is meant.
func (s subjects) opening(id, addr string) (string, error) {
	switch {
	case addr != "" && !isToken(addr):
		return "", fmt.Errorf("the address %q is not empty and not one that a server has given", addr)
	case addr != "":
		return s.at(addr, openToken), nil
	case id == "":
		return "", errors.New("the peer has neither an ID nor an address")
	default:
		return s.node(id), nil
	}
}

// isToken reports whether a text goes into a subject as it is.
func isToken(text string) bool {
	for _, c := range []byte(text) {
		if !plainByte(c) {
			return false
		}
	}
	return text != ""
}

func plainByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

// token is an ID as one token of a subject: each byte but letters, digits, -
// and _ is "=" and two hexadecimal digits.
func token(id string) string {
	if isToken(id) {
		return id
	}
	var b strings.Builder
	for _, c := range []byte(id) {
		if plainByte(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// lastToken is what a subject ends with.
func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// streamNumber is a number as a token, and back.
func streamToken(n uint64) string { return strconv.FormatUint(n, 36) }

func streamNumber(subject string) (uint64, bool) {
	n, err := strconv.ParseUint(lastToken(subject), 36, 64)
	return n, err == nil
}
