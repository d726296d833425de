package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	module = "github.com/gcnode/gcnode/"
	// testTimeout bounds one test of core, and all scenarios, which take a second
	// at most. A mutant that never comes to rest takes more memory all the time.
	testTimeout = 10 * time.Second
	// suiteTimeout bounds all tests of core.
	suiteTimeout = 2 * time.Minute
	// endless is what is said of a run that was ended for its time.
	endless = "it does not end\n"
)

// simulation is how the simulation is run. What else this program knows of it
// is in scenarios, command, failedScenarios and seedOf.
type simulation struct {
	seeds int
	time  time.Duration
}

func (s simulation) scenarios() []string {
	return []string{"-test.run=^TestScenarios$"}
}

func (s simulation) command() []string {
	return []string{
		"-test.run=^TestSimulation$", "-test.timeout=0", "-sim.stop", "-sim.seeds=" + strconv.Itoa(s.seeds), "-sim.time=" + s.time.String(),
	}
}

// failedScenarios are the names of the scenarios that failed, as tests have them.
func failedScenarios(output string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^\s*--- FAIL: TestScenarios/(\S+)`).FindAllStringSubmatch(output, -1) {
		names = append(names, strings.ReplaceAll(m[1], "_", " "))
	}
	return names
}

// seedOf is the first seed that failed, and what it violated; -1 if none is
// named.
func seedOf(output string) (seed int, what string) {
	m := regexp.MustCompile(`-sim\.seed=(\d+) prints its history\s+\{([a-z ]*[a-z])`).FindStringSubmatch(output)
	if m == nil {
		return -1, ""
	}
	seed, _ = strconv.Atoi(m[1])
	return seed, m[2]
}

// lab makes mutants and looks at them.
type lab struct {
	dir       string // for what is made
	core, e2e string // the modules' directories
	sim       simulation
	discover  bool
}

func newLab(ctx context.Context, dir string, sim simulation, discover bool) (*lab, error) {
	l := &lab{dir: dir, sim: sim, discover: discover}
	for name, at := range map[string]*string{"core": &l.core, "e2e": &l.e2e} {
		out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module+name).Output()
		if err != nil {
			return nil, fmt.Errorf("find the module %s: %w", name, err)
		}
		*at = strings.TrimSpace(string(out))
	}
	return l, nil
}

// simDir is where the simulation is.
func (l *lab) simDir() string { return filepath.Join(l.e2e, "sim") }

// binaries are the test binaries of one mutant.
type binaries struct {
	lab     *lab
	overlay string // the file that replaces what the mutant changes
	dir     string
	built   map[string]string // by the directory of the package
}

// prepare writes what the mutant changes.
func (l *lab) prepare(m mutant) (*binaries, error) {
	files, err := m.files(l.core)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.dir, m.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	replace := map[string]string{}
	for path, text := range files {
		file := filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		replace[path] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	b := &binaries{lab: l, overlay: filepath.Join(dir, "overlay.json"), dir: dir, built: map[string]string{}}
	return b, os.WriteFile(b.overlay, overlay, 0o600)
}

func (b *binaries) remove() { os.RemoveAll(b.dir) }

// build is the test binary of the package in the directory.
func (b *binaries) build(ctx context.Context, dir string) (string, error) {
	if path := b.built[dir]; path != "" {
		return path, nil
	}
	path := filepath.Join(b.dir, strconv.Itoa(len(b.built))+".test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay="+b.overlay, "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tests in %s: %w\n%s", dir, err, out)
	}
	b.built[dir] = path
	return path, nil
}

// run runs a test binary in its package's directory, and returns whether it
// has failed, or not ended in time, and what it has said.
func (b *binaries) run(ctx context.Context, dir string, within time.Duration, args ...string) (failed bool, output string, err error) {
	path, err := b.build(ctx, dir)
	if err != nil {
		return false, "", err
	}
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(timed, path, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.Exited() { // by itself, and not ended by a signal
		return true, out.String(), nil
	}
	if timed.Err() != nil && ctx.Err() == nil {
		return true, out.String() + endless, nil
	}
	return false, out.String(), err
}

// test runs one test of core, each in a process of its own: one that leaves
// goroutines behind ends the process.
func (b *binaries) test(ctx context.Context, name string) (failed bool, err error) {
	dir, test := b.lab.core, name
	if below, rest, ok := strings.Cut(name, ":"); ok {
		dir, test = filepath.Join(dir, filepath.FromSlash(below)), rest
	}
	failed, output, err := b.run(ctx, dir, testTimeout, "-test.run=^"+test+"$")
	if err == nil && !failed && strings.Contains(output, "no tests to run") {
		return false, fmt.Errorf("there is no test %s", name)
	}
	return failed, err
}

// failures are the tests of core itself that fail. One that ends the process
// keeps those after it from being run.
func (b *binaries) failures(ctx context.Context) (names []string, err error) {
	_, output, err := b.run(ctx, b.lab.core, suiteTimeout)
	for _, m := range regexp.MustCompile(`(?m)^--- FAIL: (\S+)`).FindAllStringSubmatch(output, -1) {
		names = append(names, m[1])
	}
	return names, err
}
