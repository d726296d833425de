package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/conformance"
)

// verifyCommand judges a module.
type verifyCommand struct {
	module
	grants

	Keys    []string `arg:"" optional:"" name:"key" help:"Keys that it has values for; put -- before one that begins with a dash."`
	Probe   bool     `help:"It is a probe, by which an SDK is tested: run the suite for those."`
	Without []string `enum:"waiting,store,escape" placeholder:"FEATURE" help:"What the SDK of the probe does not have: waiting (its fetches occupy the instance), store or escape; separated by commas."`
}

// Help implements [kong.HelpProvider].
func (*verifyCommand) Help() string {
	return `A getter is asked for keys of any bytes, by many callers at once, in batches, by callers
that give up, and again and again; none of that may end an instance. It may answer
with errors, but has to answer. Its origin is asked as well, so let that be one for
tests.

A probe is a getter whose keys are commands, written to test an SDK. They are listed
in docs/plugin-abi.md.

Examples:
  gcnode plugin verify users ann bob
  gcnode plugin verify --allow-fetch http://127.0.0.1:9000 users.wasm
  gcnode plugin verify --probe probe.wasm`
}

// Run implements the command.
func (c *verifyCommand) Run(ctx context.Context, console *console) error {
	suite, err := c.suite(console)
	if err != nil {
		return err
	}
	defer suite.Close()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := 0
	for _, check := range suite.Checks() {
		begun := time.Now()
		err := check.Judge(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			failed++
			_, _ = fmt.Fprintf(console.out, "FAIL  %s\n        %s\n", check.Name, strings.ReplaceAll(err.Error(), "\n", "\n        "))
			continue
		}
		_, _ = fmt.Fprintf(console.out, "ok    %s (%v)\n", check.Name, rounded(time.Since(begun).Seconds()))
	}
	if failed > 0 {
		return fmt.Errorf("%s: %d of %s failed", c.File, failed, some(len(suite.Checks()), "check"))
	}
	return nil
}

// suite is what the module has to pass.
func (c *verifyCommand) suite(console *console) (*conformance.Suite, error) {
	manifest, err := c.manifest()
	if err != nil {
		return nil, err
	}
	code, err := readModule(manifest.Plugin.Module)
	if err != nil {
		return nil, err
	}
	if c.Probe {
		if len(c.Keys) > 0 {
			return nil, usageError("--probe: the suite for probes knows their keys: leave %q out", c.Keys)
		}
		return conformance.Probe(code, conformance.ProbeOptions{
			Blocking: slices.Contains(c.Without, "waiting"),
			NoStore:  slices.Contains(c.Without, "store"),
			NoEscape: slices.Contains(c.Without, "escape"),
		})
	}
	if len(c.Without) > 0 {
		return nil, usageError("--without is for --probe")
	}
	c.LogLevel = cmp.Or(c.LogLevel, "error") // it is provoked
	opts, err := c.options(manifest, console)
	if err != nil {
		return nil, err
	}
	if d, err := wasm.Describe(code); err == nil && d.Fuel != nil && opts.Interruption == wasm.InterruptByEngine {
		_, _ = io.WriteString(console.err, "it has no fuel: the engine interrupts it\n")
	}
	return conformance.Getter(code, conformance.GetterOptions{Wasm: opts, Keys: c.Keys})
}
