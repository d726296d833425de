package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
)

// pluginCommands are for those who make getters, or want to know what they are
// given.
type pluginCommands struct {
	New     newCommand     `cmd:"" help:"Make a project of a getter that builds, with a test and a manifest."`
	Build   buildCommand   `cmd:"" help:"Compile a project with the compiler of its language, and say what to install if that is missing."`
	Test    testCommand    `cmd:"" help:"Ask a project's module for the keys in its getter_test.yaml, and compare the answers."`
	Inspect inspectCommand `cmd:"" help:"Tell what a module is and what it wants, without running it. Exit status 1: no node would run it."`
	Run     runCommand     `cmd:"" help:"Ask a module for one key, and tell what that cost. Exit status 3: the key has no value."`
	Bench   benchCommand   `cmd:"" help:"Ask a module for keys as fast as it answers, and tell how fast that is."`
	Verify  verifyCommand  `cmd:"" help:"Judge a module: any getter, or the probe of an SDK. Exit status 1: it failed."`
	Pin     pinCommand     `cmd:"" help:"Write the hash of the module into its manifest: nodes then refuse every other module."`
}

// module is what a command of this family is about.
type module struct {
	File string `arg:"" help:"A module (FILE.wasm), a manifest (FILE.yaml), or a directory with a getter.yaml."`
}

// manifestPath is where the manifest is; ok is false for a module without one.
func (m *module) manifestPath() (path string, ok bool, err error) {
	info, err := os.Stat(m.File)
	if err != nil {
		return "", false, usageError("%s: %w", m.File, plainCause(err))
	}
	if info.IsDir() {
		return filepath.Join(m.File, config.ManifestName), true, nil
	}
	extension := filepath.Ext(m.File)
	return m.File, extension == ".yaml" || extension == ".yml", nil
}

// manifest is what the module's manifest says, and what holds for a module
// without one.
func (m *module) manifest() (*config.Manifest, error) {
	path, ok, err := m.manifestPath()
	if err != nil {
		return nil, err
	}
	if !ok {
		return config.NoManifest(path), nil
	}
	manifest, err := config.LoadManifest(path)
	if err != nil {
		return nil, &statusError{status: statusUsage, err: err}
	}
	return manifest, nil
}

// readModule reads a module whole.
func readModule(path string) ([]byte, error) {
	data, err := wasm.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usageError("%s: there is no such file; has it been built (gcnode plugin build)?", path)
	case err != nil:
		return nil, usageError("%s: %w", path, plainCause(err))
	}
	return data, nil
}

// plainCause leaves the name of the system call and the path out of an error.
func plainCause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// grants are settings of a plugin on the command line. They are on top of those
// of the manifest.
type grants struct {
	Set          []string      `sep:"none" placeholder:"NAME=VALUE" help:"A setting of the getter; repeat it."`
	Env          []string      `sep:"none" placeholder:"NAME=VALUE" help:"A variable of its environment; repeat it."`
	AllowFetch   []string      `sep:"none" placeholder:"ORIGIN" help:"An origin that it may fetch from, such as https://example.com; repeat it. Replaces the list of the manifest."`
	AllowPrivate bool          `help:"Let names in --allow-fetch be those of private addresses."`
	Store        string        `placeholder:"SIZE" help:"Room for what its instances share, such as 1MiB."`
	Memory       string        `placeholder:"SIZE" help:"The limit of one instance (default: 64MiB)."`
	Timeout      time.Duration `placeholder:"DURATION" help:"The deadline of one key (default: 10s)."`
	Interruption string        `default:"" enum:",fuel,engine" placeholder:"WHAT" help:"How a module is interrupted that cannot be given fuel: fuel (it is refused, the default) or engine."`
	Compiled     string        `name:"compilation-cache" placeholder:"DIR" help:"Where compiled modules are kept from one run to the next (default: nowhere)."`
	LogLevel     string        `default:"" enum:",debug,info,warn,error" placeholder:"LEVEL" help:"What of its log is shown: debug, info, warn or error."`
}

// options are those of a manifest with the command line on top. The log of the
// module goes to standard error.
func (g *grants) options(m *config.Manifest, console *console) (wasm.Options, error) {
	opts := m.Plugin.Options()
	opts.Name = cmp.Or(m.Name, filepath.Base(m.Plugin.Module))
	var level slog.Level
	errs := []error{
		entries("--set", g.Set, &opts.Config),
		entries("--env", g.Env, &opts.Env),
		size("--store", g.Store, &opts.StoreBytes),
		size("--memory", g.Memory, &opts.MaxMemoryBytes),
		level.UnmarshalText([]byte(cmp.Or(g.LogLevel, "info"))),
	}
	if g.Timeout < 0 {
		errs = append(errs, fmt.Errorf("--timeout: %v must be more than nothing, such as 5s", g.Timeout))
	}
	if len(g.AllowFetch) > 0 {
		opts.AllowFetch = g.AllowFetch
	}
	if g.Timeout > 0 {
		opts.Timeout = g.Timeout
	}
	if g.Interruption == wasm.InterruptByEngine.String() {
		opts.Interruption = wasm.InterruptByEngine
	}
	opts.CacheDir = g.Compiled
	opts.AllowPrivate = opts.AllowPrivate || g.AllowPrivate
	opts.Logger = slog.New(slog.NewTextHandler(console.err, &slog.HandlerOptions{Level: level}))
	if err := errors.Join(errs...); err != nil {
		return opts, usageError("%w", err)
	}
	return opts, nil
}

// entries puts words of the form NAME=VALUE on top of a table.
func entries(flag string, words []string, table *map[string]string) error {
	more := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%s: %q must be a name and a value, such as ttl=10m", flag, word)
		}
		more[name] = value
	}
	*table = config.OnTop(*table, more)
	return nil
}

// size reads a number of bytes, if there is one.
func size(flag, text string, dst *int64) error {
	if text == "" {
		return nil
	}
	n, err := config.ParseSize(text)
	if err != nil {
		return fmt.Errorf("%s: %w: write 64MiB, 1.5GB or a number of bytes", flag, err)
	}
	*dst = n
	return nil
}

// load starts a plugin for do, and stops it, at the latest when a signal comes.
func (m *module) load(ctx context.Context, g *grants, console *console, slice int64, do func(context.Context, *wasm.Plugin) error) error {
	manifest, err := m.manifest()
	if err != nil {
		return err
	}
	opts, err := g.options(manifest, console)
	if err != nil {
		return err
	}
	opts.FuelSlice = slice
	code, err := readModule(manifest.Plugin.Module)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	plugin, err := wasm.Load(ctx, code, opts)
	if err != nil {
		return interruptedOr(ctx, usageError("%s%s", eachLine(manifest.Plugin.Module, loadCause(err)), hint(err)))
	}
	err = do(ctx, plugin)
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel() // nobody waits for what is still running
	if closed := plugin.Close(ended); err == nil && !errors.Is(closed, context.Canceled) {
		err = closed
	}
	return interruptedOr(ctx, err)
}

// interruptedOr is the error of something that a signal may have ended.
func interruptedOr(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// loadCause leaves out of an error what the message around it says.
func loadCause(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// eachLine puts the path before each line of an error, all of which are about it.
func eachLine(path string, err error) string {
	return path + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+path+": ")
}

// hint names the flags that a module lacks.
func hint(err error) string {
	switch {
	case strings.Contains(err.Error(), "was not granted"):
		return " (see --allow-fetch and --store)"
	case strings.Contains(err.Error(), "interruption: engine in"):
		return " (see --interruption)"
	default:
		return ""
	}
}
