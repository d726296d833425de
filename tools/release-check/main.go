// Command release-check proves that the modules of this repository can be used
// by strangers, before anything is published.
//
// It takes the files that git tracks, strips the replace lines from every
// go.mod, lets the modules require each other at one version, and serves them
// from a file system tree in the form of a module proxy. Then it does from
// empty directories what a stranger would do: go get core and run a program
// that uses it, go get and build every other library, move a program of
// mailgun/groupcache to compat/mailgun, go install gcnode and run it. Other
// people's modules come from the module cache or the ordinary proxy. Nothing that
// it makes is left behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// version is what the modules are released as within the check.
const version = "v0.1.0-check"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release-check:", err)
		os.Exit(1)
	}
}

// run checks the repository that the working directory is in.
func run(ctx context.Context) (err error) {
	root, err := output(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "gcnode-release-check-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()

	source := filepath.Join(temp, "source")
	if err := copyTracked(ctx, root, source); err != nil {
		return err
	}
	modules, err := readModules(source)
	if err != nil {
		return err
	}
	proxy := filepath.Join(temp, "proxy")
	for _, m := range modules {
		if err := m.publish(source, proxy); err != nil {
			return fmt.Errorf("publish %s: %w", m.path, err)
		}
	}
	s, err := newStranger(ctx, temp, proxy)
	if err != nil {
		return err
	}
	return s.useAll(ctx, modules)
}

// output runs a program in a directory and returns what it printed, without
// the newline at its end. The error holds what it printed as errors.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	return outputOf(cmd)
}

// outputOf is [output] for a command that has not been started.
func outputOf(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stderr.String(), out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
