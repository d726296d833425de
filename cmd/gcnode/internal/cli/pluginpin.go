package cli

import (
	"fmt"
	"strings"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
)

// pinCommand ties a manifest to one module.
type pinCommand struct {
	module

	Check bool `help:"Change nothing, and fail if the module is not the one that is pinned."`
}

// Help implements [kong.HelpProvider].
func (*pinCommand) Help() string {
	return `The manifest gets the setting sha256, which nodes compare with the module before they
look at anything else of it. In the configuration of a node, a plugin without a
manifest may have the same setting.

Examples:
  gcnode plugin pin .
  gcnode plugin pin --check getter.yaml`
}

// Run implements the command.
func (c *pinCommand) Run(console *console) error {
	path, ok, err := c.manifestPath()
	if err != nil {
		return err
	}
	if !ok {
		return usageError("%s is not a manifest: name one (FILE.yaml, or the directory with a %s)", c.File, config.ManifestName)
	}
	manifest, err := c.manifest()
	if err != nil {
		return err
	}
	code, err := readModule(manifest.Plugin.Module)
	if err != nil {
		return err
	}
	if _, err := wasm.Describe(code); err != nil {
		return usageError("%s: %w", manifest.Plugin.Module, loadCause(err))
	}
	hash := wasm.HashOf(code)
	switch pinned := manifest.Plugin.SHA256; {
	case strings.EqualFold(pinned, hash):
		_, err = fmt.Fprintf(console.out, "%s pins %s, as it is\n", path, manifest.Plugin.Module)
		return err
	case c.Check && pinned == "":
		return fmt.Errorf("%s pins no module (gcnode plugin pin %s)", path, c.File)
	case c.Check:
		return fmt.Errorf("%s has the SHA-256 %s, but %s pins %s", manifest.Plugin.Module, hash, path, pinned)
	}
	if err := config.Pin(path, hash); err != nil {
		return err
	}
	_, err = fmt.Fprintf(console.out, "%s pins %s: %s\n", path, manifest.Plugin.Module, hash)
	return err
}
