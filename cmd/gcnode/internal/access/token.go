package access

import (
	"crypto/sha256"
	"crypto/subtle"
)

// MinSecretBytes is the least length of a secret.
const MinSecretBytes = 16

// Token is a name and the secrets, one or more, that prove it: while a secret
// is changed the old and the new one are good.
type Token struct {
	Name    string
	Secrets []string
}

// tokens finds the name that a secret proves. Only digests are compared, all of
// them and each in the same time, so that the time says nothing about them.
type tokens struct {
	digests [][sha256.Size]byte
	names   []string
}

func newTokens(list []Token) *tokens {
	t := &tokens{}
	for _, token := range list {
		for _, secret := range token.Secrets {
			t.digests = append(t.digests, sha256.Sum256([]byte(secret)))
			t.names = append(t.names, token.Name)
		}
	}
	return t
}

// owner is whose secret it is.
func (t *tokens) owner(secret string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(secret))
	found := -1
	for i := range t.digests {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(t.digests[i][:], digest[:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return t.names[found], true
}
