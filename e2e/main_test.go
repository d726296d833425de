// Package e2e_test runs whole nodes: real processes, sockets and modules, all
// built from source before the first test. "go test" does not see when another
// module changes and may show an old result; -count=1 or -shuffle=on make it
// run the tests again, as the targets in the Makefile do.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what happens soon. It only
	// catches hangs.
	patience = time.Minute
	// pollEvery is how often it looks.
	pollEvery = 10 * time.Millisecond
)

// built is what the tests run.
var built artefacts

// artefacts are the files that are made once, before the first test.
type artefacts struct {
	dir      string // where they are
	gcnode   string // the program
	docnames string // testdata/docnames
	godoc    string // plugins/godoc as a module
	echo     string // testdata/echo as a module
	versions string // testdata/versions as a module
	compiled string // the directory that keeps compiled modules for all nodes
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds and runs the tests.
func run(m *testing.M) (status int) {
	if insideNamespace() {
		built = artefactsIn(os.Getenv(insideOf))
		return runTests(m)
	}
	dir, err := os.MkdirTemp("", "gcnode-e2e-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		built, err = build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return runTests(m)
}

// runTests runs the tests and looks that they left no process behind.
func runTests(m *testing.M) (status int) {
	status = m.Run()
	if left := processes.killAll(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "e2e: these processes were still running:", left)
		return 1
	}
	return status
}

// artefactsIn are those in a directory.
func artefactsIn(dir string) artefacts {
	in := func(name string) string { return filepath.Join(dir, name) }
	return artefacts{
		dir:      dir,
		gcnode:   in("gcnode"),
		docnames: in("docnames"),
		godoc:    in("godoc.wasm"),
		echo:     in("echo.wasm"),
		versions: in("versions.wasm"),
		compiled: in("compiled"),
	}
}

// build makes the artefacts in a directory.
func build(ctx context.Context, dir string) (artefacts, error) {
	a := artefactsIn(dir)
	wasip1 := []string{"GOOS=wasip1", "GOARCH=wasm"}
	reactor := []string{"-buildmode=c-shared", "-ldflags=-s -w"}
	for _, b := range []struct {
		dir, out  string
		args, env []string
	}{
		{"../cmd/gcnode", a.gcnode, nil, nil},
		{"../plugins/godoc", a.godoc, reactor, wasip1},
		{"testdata/echo", a.echo, reactor, append(wasip1, "GOWORK=off")},
		{"testdata/versions", a.versions, reactor, append(wasip1, "GOWORK=off")},
		{"testdata/docnames", a.docnames, nil, []string{"GOWORK=off"}},
		{"../plugins/origin", filepath.Join(dir, "origin.wasm"), reactor, wasip1},
		{"../plugins/thumbnail", filepath.Join(dir, "thumbnail.wasm"), reactor, wasip1},
		{"../plugins/markdown", filepath.Join(dir, "markdown.wasm"), reactor, wasip1},
	} {
		if err := buildOne(ctx, b.dir, b.out, b.args, b.env); err != nil {
			return artefacts{}, err
		}
	}
	// With the race detector that takes ten times as long.
	if err := a.warm(ctx, dir); err != nil {
		return artefacts{}, err
	}
	if !detectsRaces() {
		return a, nil
	}
	out, err := exec.CommandContext(ctx, "../tools/race.sh").Output()
	if err != nil {
		return artefacts{}, fmt.Errorf("ask tools/race.sh: %w", err)
	}
	// Fuel is injected in one goroutine, at each start.
	flags := slices.Concat([]string{"-race"}, strings.Fields(string(out)), []string{"-gcflags=github.com/gcnode/gcnode/getters/wasm/fuel=-race=false"})
	return a, buildOne(ctx, "../cmd/gcnode", a.gcnode, flags, nil)
}

// buildOne builds the program in a directory, with more arguments for the
// compiler and more in its environment.
func buildOne(ctx context.Context, dir, out string, args, env []string) error {
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", out}, args, []string{"."})...)
	cmd.Dir = filepath.FromSlash(dir)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", dir, err, out)
	}
	return nil
}

// detectsRaces reports whether the tests were built with the race detector.
// The nodes are then, too.
func detectsRaces() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// warm compiles the modules, so that the nodes of the tests find it done.
func (a artefacts) warm(ctx context.Context, dir string) error {
	config := fmt.Sprintf(`
compilation_cache: %q
groups:
  doc: {plugin: {module: %q, allow_fetch: ["http://127.0.0.1"], config: {origin: "http://127.0.0.1"}}}
  echo: {plugin: {module: %q}}
  versions: {plugin: {module: %q, allow_fetch: ["http://127.0.0.1"], config: {origin: "http://127.0.0.1"}}}
`, a.compiled, a.godoc, a.echo, a.versions)
	getters, err := a.exampleOfGetters("http://127.0.0.1")
	if err != nil {
		return err
	}
	for _, text := range []string{config, getters} {
		path := filepath.Join(dir, "warm.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, a.gcnode, "check", "--config", path).CombinedOutput(); err != nil {
			return fmt.Errorf("compile the modules: %w: %s", err, out)
		}
	}
	return nil
}

// exampleOfGetters is examples/getters/node.yaml with modules that were built
// from source, and another origin.
func (a artefacts) exampleOfGetters(origin string) (string, error) {
	text, err := os.ReadFile("../examples/getters/node.yaml")
	config := strings.NewReplacer("../../bin/plugins", filepath.ToSlash(a.dir), "http://127.0.0.1:9000", origin).Replace(string(text))
	return fmt.Sprintf("compilation_cache: %q\n%s", a.compiled, config), err
}
