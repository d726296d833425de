package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// HashOf is the hash of a module in the form of [Options].SHA256.
func HashOf(module []byte) string {
	sum := sha256.Sum256(module)
	return hex.EncodeToString(sum[:])
}

// checkPin refuses what cannot be the hash of a module.
func checkPin(pin string) error {
	if raw, err := hex.DecodeString(pin); pin != "" && (err != nil || len(raw) != sha256.Size) {
		return fmt.Errorf("option SHA256 is %q: it must be %d hexadecimal digits", printable(pin, maxNameShown), 2*sha256.Size)
	}
	return nil
}

// checkHash refuses another module than the one that is wanted, if it is known
// which one that is.
func checkHash(module []byte, pin string) error {
	if got := HashOf(module); pin != "" && !strings.EqualFold(got, pin) {
		return fmt.Errorf("the module has the SHA-256 %s, and the one that may run has %s", got, strings.ToLower(pin))
	}
	return nil
}
