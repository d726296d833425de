// Package access knows who may do what with which groups.
package access

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/transport/http/certs"
)

// Right is what somebody may do with a group.
type Right int

const (
	// Read is to get values.
	Read Right = iota
	// Write is to set them.
	Write
	// Remove is to remove them, one or all.
	Remove
)

// String is the right as a verb.
func (r Right) String() string {
	switch r {
	case Write:
		return "write"
	case Remove:
		return "remove"
	default:
		return "read"
	}
}

// Every stands in a list of groups for all of them.
const Every = "*"

// Rule is what one identity may do: the groups for each right.
type Rule struct {
	Read, Write, Remove []string
	// Rate is how many requests a second it may send; 0: as many as it likes.
	Rate int
}

// groups are those for a right.
func (r *Rule) groups(right Right) []string {
	switch right {
	case Write:
		return r.Write
	case Remove:
		return r.Remove
	default:
		return r.Read
	}
}

// List has the rules of identities: names of tokens or of client certificates.
// Who is not on it may do nothing.
type List map[string]Rule

// RefusedError is why a request is not served.
type RefusedError struct {
	// Status is of HTTP: 401, 403 or 429.
	Status int
	Reason string
	// RetryAfter goes with 429.
	RetryAfter time.Duration
}

// Error implements the error interface.
func (r *RefusedError) Error() string { return r.Reason }

// Guard looks at requests. The zero value and nil are open to everybody. It may
// be used from any goroutine.
type Guard struct{ policy atomic.Pointer[policy] }

// policy is a [Policy] at work, which is replaced as a whole.
type policy struct {
	tokens  *tokens
	callers map[string]*caller
}

// Policy is what a [Guard] goes by.
type Policy struct {
	Tokens []Token
	// Certificates lets callers show who they are by a certificate. Without
	// certificates and tokens everybody may do everything.
	Certificates bool
	Rules        List
}

// Set replaces what the guard goes by.
func (g *Guard) Set(next Policy) {
	if len(next.Tokens) == 0 && !next.Certificates {
		g.policy.Store(nil)
		return
	}
	p := &policy{tokens: newTokens(next.Tokens), callers: map[string]*caller{}}
	old := g.policy.Load()
	for name, rule := range next.Rules {
		p.callers[name] = newCaller(rule, old.caller(name))
	}
	g.policy.Store(p)
}

// caller is what is known of an identity, nil without a policy or a rule.
func (p *policy) caller(name string) *caller {
	if p == nil {
		return nil
	}
	return p.callers[name]
}

// Caller is who sent a request. It is nil where the guard is open.
type Caller struct {
	name string
	*caller
}

// Identify finds out who sent a request: by its token if it has one, and
// otherwise by the certificate of its connection, which was checked when that
// was made. It refuses who is not known, and who sends too much.
func (g *Guard) Identify(r *http.Request) (*Caller, *RefusedError) {
	if g == nil {
		return nil, nil //nolint:nilnil // nobody is asked for
	}
	p := g.policy.Load()
	if p == nil {
		return nil, nil //nolint:nilnil // nobody is asked for
	}
	names, err := p.names(r)
	if err != nil {
		return nil, &RefusedError{Status: http.StatusUnauthorized, Reason: err.Error()}
	}
	who := &Caller{name: names[0]}
	for _, name := range names {
		if c := p.callers[name]; c != nil {
			who.name, who.caller = name, c
			break
		}
	}
	if who.caller == nil {
		return nil, &RefusedError{Status: http.StatusForbidden, Reason: fmt.Sprintf("%q may do nothing here: it is not in the access list", who.name)}
	}
	if wait := who.take(); wait > 0 {
		return nil, &RefusedError{
			Status: http.StatusTooManyRequests, RetryAfter: wait,
			Reason: fmt.Sprintf("%q sends more than %d requests a second", who.name, who.rule.Rate),
		}
	}
	return who, nil
}

var (
	errNobody     = errors.New("who asks is to be said by a bearer token (Authorization: Bearer …) or a client certificate")
	errWrongToken = errors.New("the bearer token is not known")
)

// names are those under which the sender of a request may be on the list.
func (p *policy) names(r *http.Request) ([]string, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errNobody
		}
		name, ok := p.tokens.owner(strings.TrimSpace(token))
		if !ok {
			return nil, errWrongToken
		}
		return []string{name}, nil
	}
	names, checked := certs.Names(r.TLS)
	switch {
	case !checked:
		return nil, errNobody
	case len(names) == 0:
		return nil, errors.New("the client certificate has no name")
	}
	return names, nil
}

// Check is why the caller has not the right; nil: it has.
func (c *Caller) Check(right Right, group string) *RefusedError {
	if c == nil {
		return nil
	}
	for _, name := range c.rule.groups(right) {
		if name == Every || name == group {
			return nil
		}
	}
	return &RefusedError{
		Status: http.StatusForbidden,
		Reason: fmt.Sprintf("%q may not %v values of the group %q", c.name, right, group),
	}
}
