package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/build"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/project"
	"github.com/gcnode/gcnode/getters/wasm"
)

// newCommand makes a project.
type newCommand struct {
	Lang  string `required:"" enum:"go,rust,c,cpp,assemblyscript,javascript" placeholder:"LANGUAGE" help:"go, rust, c, cpp, assemblyscript or javascript."`
	Name  string `placeholder:"NAME" help:"What the getter is called (default: the name of the directory)."`
	Clone string `env:"GCNODE" placeholder:"DIR" help:"A clone of gcnode's repository, whose SDK for Go is used; without one it is that of this release."`
	Dir   string `arg:"" help:"The directory, which must be empty, or not be there yet."`
}

// Help implements [kong.HelpProvider].
func (*newCommand) Help() string {
	return `The project is a getter that fetches from an origin and can be built, tested and run
at once. It has a manifest (getter.yaml), what the getter has to answer
(getter_test.yaml), and, but for Go, a copy of the SDK.

Examples:
  gcnode plugin new --lang rust users
  gcnode plugin build users
  gcnode plugin test users`
}

// Run implements the command.
func (c *newCommand) Run(console *console) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return usageError("%s: %w", c.Dir, err)
	}
	opts := project.Options{Language: project.Language(c.Lang), Name: c.Name, Version: build.Current().Version}
	if opts.Name == "" {
		opts.Name = strings.ToLower(filepath.Base(dir))
	}
	if opts.Language == project.Go {
		if opts.Clone, err = c.clone(opts.Version); err != nil {
			return err
		}
	}
	if err := project.Create(c.Dir, opts); err != nil {
		return usageError("%w", err)
	}
	_, err = fmt.Fprintf(console.out, "made %s, a getter in %s; what to do with it:\n"+
		"  gcnode plugin build %[1]s\n  gcnode plugin test %[1]s\n  gcnode plugin run %[1]s KEY\n", c.Dir, opts.Language)
	return err
}

// clone is the clone that a project in Go refers to; empty: to a release.
func (c *newCommand) clone(version string) (string, error) {
	if c.Clone == "" {
		if !strings.HasPrefix(version, "v") || strings.Contains(version, "-0.") || strings.Contains(version, "+") {
			return "", usageError("--clone: this gcnode is no release, whose SDK could be downloaded: " +
				"say where a clone of its repository is (--clone DIR, or $GCNODE)")
		}
		return "", nil
	}
	dir, err := filepath.Abs(c.Clone)
	if err != nil {
		return "", usageError("--clone: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "plugins", "sdk", "go", "go.mod")); err != nil {
		return "", usageError("--clone or $GCNODE: %s is no clone of gcnode's repository: there is no plugins/sdk/go in it", c.Clone)
	}
	return dir, nil
}

// projectDir is the folder of a project.
type projectDir struct {
	Dir string `arg:"" optional:"" default:"." help:"The directory of the project (default: this one)."`
}

// manifest reads the project's manifest.
func (p *projectDir) manifest() (*config.Manifest, error) {
	if info, err := os.Stat(p.Dir); err != nil {
		return nil, usageError("%s: %w", p.Dir, plainCause(err))
	} else if !info.IsDir() {
		return nil, usageError("%s must be the directory of a project", p.Dir)
	}
	m, err := config.LoadManifest(filepath.Join(p.Dir, config.ManifestName))
	if err != nil {
		return nil, &statusError{status: statusUsage, err: err}
	}
	return m, nil
}

// buildCommand compiles a project.
type buildCommand struct {
	projectDir
}

// Help implements [kong.HelpProvider].
func (*buildCommand) Help() string {
	return `The language is told by go.mod, Cargo.toml, package.json, or the one source in C or
C++. Where the module goes is said by the manifest.

Examples:
  gcnode plugin build
  gcnode plugin build users`
}

// Run implements the command.
func (c *buildCommand) Run(ctx context.Context, console *console) error {
	m, err := c.manifest()
	if err != nil {
		return err
	}
	if _, _, err := project.LanguageOf(c.Dir); err != nil {
		return usageError("%w", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	path := m.Plugin.Module
	if err := project.Build(ctx, c.Dir, path, console.err); err != nil {
		return interruptedOr(ctx, err)
	}
	code, err := readModule(path)
	if err != nil {
		return err
	}
	d, err := wasm.Describe(code)
	if err == nil {
		err = errors.Join(d.Contract, d.Fuel)
	}
	if err != nil {
		return fmt.Errorf("%s was built, but no node would run it: %w", path, err)
	}
	if pinned := m.Plugin.SHA256; pinned != "" && !strings.EqualFold(pinned, d.SHA256) {
		_, _ = fmt.Fprintf(console.err, "gcnode: the manifest pins another module: gcnode plugin pin %s\n", c.Dir)
	}
	_, err = fmt.Fprintf(console.out, "built %s: %s, sha256 %s\n", path, config.FormatSize(int64(d.Bytes)), d.SHA256)
	return err
}
