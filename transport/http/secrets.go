package httptransport

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// MinSecretBytes is the least length of a [Secret]: whoever has seen a
	// signed request can try secrets against it for as long as they like.
	MinSecretBytes = 32
	// maxKeyIDBytes bounds the name of a secret.
	maxKeyIDBytes = 64
	keyIDBytes    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)

// Secret is what two members both know, and sign what they send with.
type Secret struct {
	// ID travels with each signature and says which secret it is of: 1 to 64
	// letters, digits, dots, dashes and underscores. It is the identity of the
	// sender; see [Access].
	ID string
	// Secret has MinSecretBytes or more, such as those of: openssl rand -hex 32
	Secret string
}

// String is the ID, so that no log shows the secret.
func (s Secret) String() string { return "secret " + s.ID }

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// CheckID fails if the ID cannot be used.
func (s Secret) CheckID() error {
	if s.ID == "" || len(s.ID) > maxKeyIDBytes || strings.Trim(s.ID, keyIDBytes) != "" {
		return fmt.Errorf("the id of a secret, %q, must be 1 to %d letters, digits, dots, dashes and underscores", s.ID, maxKeyIDBytes)
	}
	return nil
}

// Check fails if the secret cannot be used. The error does not show it.
func (s Secret) Check() error {
	if err := s.CheckID(); err != nil {
		return err
	}
	if len(s.Secret) < MinSecretBytes {
		return fmt.Errorf("the secret %q has %d bytes; at least %d are needed, such as those of: openssl rand -hex 32", s.ID, len(s.Secret), MinSecretBytes)
	}
	return nil
}

// Secrets are those of a member. The first one signs, and what is signed with
// any of them is accepted. To change one in a running cluster, add the new one
// behind the old one on all members, then put it first on all, then take the
// old one out. Without any, no signature is right and nothing can be sent. They may
// be used from any goroutine.
type Secrets struct {
	list     atomic.Pointer[[]*secret]
	unsigned atomic.Bool
}

// secret is one that is in use. Its address tells it from others of the same ID.
type secret struct {
	id   string
	key  []byte
	macs sync.Pool // of hash.Hash, to be used again
}

// NewSecrets fails as [Secrets.Set] does.
func NewSecrets(list ...Secret) (*Secrets, error) {
	s := &Secrets{}
	return s, s.Set(list...)
}

// Set replaces the secrets. Streams that were begun with one that is not there
// any more end. It fails, and changes nothing, if there is no secret, one cannot
// be used, or an ID is there twice.
func (s *Secrets) Set(list ...Secret) error {
	if len(list) == 0 {
		return errors.New("set the secrets: there is none")
	}
	next := make([]*secret, 0, len(list))
	for _, one := range list {
		if err := one.Check(); err != nil {
			return fmt.Errorf("set the secrets: %w", err)
		}
		if find(next, one.ID) != nil {
			return fmt.Errorf("set the secrets: the id %q is there twice", one.ID)
		}
		kept := s.find(one.ID)
		if kept == nil || string(kept.key) != one.Secret {
			kept = &secret{id: one.ID, key: []byte(one.Secret)}
		}
		next = append(next, kept)
	}
	s.list.Store(&next)
	return nil
}

// AcceptUnsigned says whether members that have no secrets are understood: then
// what they send is served as without secrets, and their answers are taken. It is
// for the time in which a cluster gets its secrets, or gives them up, since
// whoever reaches its members is one of them meanwhile. A signature that is there
// has to be right all the same. When this ends, streams without one end.
func (s *Secrets) AcceptUnsigned(accept bool) { s.unsigned.Store(accept) }

// first is the secret that signs, or nil before there is one.
func (s *Secrets) first() *secret {
	if list := s.list.Load(); list != nil {
		return (*list)[0]
	}
	return nil
}

// find is the secret of an ID, or nil.
func (s *Secrets) find(id string) *secret {
	if list := s.list.Load(); list != nil {
		return find(*list, id)
	}
	return nil
}

func find(list []*secret, id string) *secret {
	for _, one := range list {
		if one.id == id {
			return one
		}
	}
	return nil
}

// mac is the HMAC-SHA-256 of lines, the first of which says what it is for.
func (s *secret) mac(lines ...string) []byte {
	text := make([]byte, 0, 512)
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	h, ok := s.macs.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, s.key)
	}
	h.Reset()
	defer s.macs.Put(h)
	h.Write(text)
	return h.Sum(nil)
}
