package gcnode

import (
	"crypto/sha256"

	"github.com/gcnode/gcnode/core/internal/alias"
)

// minDigest is the size of the smallest value, in bytes, for which a digest
// saves anything.
const minDigest = 256

// digestOf identifies the bytes of a value. Whoever has a copy of the value
// asks with it whether the copy is still right; since it depends on nothing but
// the bytes, no restart and no change of the owner can make it mean another
// value.
func digestOf(v Value) Digest {
	sum := sha256.Sum256(alias.Bytes(v.s))
	return Digest(sum[:])
}
