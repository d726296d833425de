package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// greeter is what the stranger writes on top of core.
//
//go:embed testdata/stranger/main.go
var greeter []byte

// mailgun is a program that the stranger has, of another library.
//
//go:embed testdata/mailgun/main.go
var mailgun []byte

// greeting is what they print.
const greeting = "hello, world"

// stranger is somebody with an empty module cache and no knowledge of this
// repository but its module proxy.
type stranger struct {
	temp string
	env  []string
}

// newStranger makes a stranger who lives in temp.
func newStranger(ctx context.Context, temp, proxy string) (*stranger, error) {
	out, err := output(ctx, temp, "go", "env", "GOMODCACHE", "GOPROXY", "GONOSUMDB")
	if err != nil {
		return nil, err
	}
	settings := strings.Split(out, "\n")
	if len(settings) != 3 {
		return nil, fmt.Errorf("go env printed %d lines for 3 settings", len(settings))
	}
	cached := filepath.Join(settings[0], "cache", "download")
	noSumDB := prefix + "*"
	if settings[2] != "" {
		noSumDB += "," + settings[2]
	}
	return &stranger{temp: temp, env: []string{
		"GOWORK=off",
		"GOFLAGS=-modcacherw -trimpath", // removable, and compiled once for all directories
		"GOPATH=" + filepath.Join(temp, "gopath"),
		"GOMODCACHE=" + filepath.Join(temp, "gopath", "pkg", "mod"),
		"GOBIN=" + filepath.Join(temp, "bin"),
		"GOPROXY=" + fileURL(proxy) + "," + fileURL(cached) + "," + settings[1],
		"GOPRIVATE=", "GONOPROXY=", // no module is fetched past the proxies
		"GONOSUMDB=" + noSumDB,
	}}, nil
}

// fileURL is the URL of a directory of this machine.
func fileURL(dir string) string { return "file://" + filepath.ToSlash(dir) }

// useAll uses every module in the way that it is meant to be used, and goes on
// with the next where that fails.
func (s *stranger) useAll(ctx context.Context, modules []module) error {
	var errs []error
	for _, m := range modules {
		start := time.Now()
		use, did := s.useLibrary, "go get"
		switch {
		case m.path == prefix+"core":
			use, did = s.useCore, "go get, run a program with"
		case m.path == prefix+"compat/mailgun":
			use, did = s.useMigration, "go get, move a program to"
		case m.program():
			use, did = s.useProgram, "go install, run"
		}
		if err := use(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("a stranger cannot use %s: %w", m.path, err))
			continue
		}
		fmt.Printf("%s %s: ok (%.1f s)\n", did, m.path, time.Since(start).Seconds())
	}
	return errors.Join(errs...)
}

// useCore runs a program that imports core, and makes sure that core brings
// no other module with it.
func (s *stranger) useCore(ctx context.Context, m module) error {
	dir, err := s.get(ctx, m.path)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "main.go"), greeter); err != nil {
		return err
	}
	out, err := s.run(ctx, dir, "go", "run", ".")
	if err != nil {
		return err
	}
	if out != greeting {
		return fmt.Errorf("the program printed %q instead of %q", out, greeting)
	}
	list, err := s.run(ctx, dir, "go", "list", "-m", "all")
	if err != nil {
		return err
	}
	if want := []string{"stranger.example", m.path + " " + version}; !slices.Equal(strings.Split(list, "\n"), want) {
		return fmt.Errorf("it brings other modules with it:\n%s", list)
	}
	return nil
}

// useLibrary builds all packages of a module, those for guests too.
func (s *stranger) useLibrary(ctx context.Context, m module) error {
	platforms := [][]string{nil}
	if m.guest() {
		platforms = append(platforms, []string{"GOOS=wasip1", "GOARCH=wasm"})
	}
	for _, env := range platforms {
		t := &stranger{temp: s.temp, env: slices.Concat(s.env, env)}
		dir, err := t.get(ctx, m.path+"/...")
		if err != nil {
			return err
		}
		packages, err := t.run(ctx, dir, "go", "list", m.path+"/...")
		if err != nil {
			return err
		}
		if packages == "" {
			return errors.New("it holds no package")
		}
		if _, err := t.run(ctx, dir, "go", "build", "-o", os.DevNull, m.path+"/..."); err != nil {
			return err
		}
	}
	return nil
}

// useMigration moves a program to the module, as docs/migrating.md says it.
func (s *stranger) useMigration(ctx context.Context, m module) error {
	if err := s.useLibrary(ctx, m); err != nil {
		return err
	}
	dir, err := s.get(ctx, m.path)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "main.go"), mailgun); err != nil {
		return err
	}
	if _, err := s.run(ctx, dir, "go", "run", m.path+"/cmd/gcmigrate@"+version, "./..."); err != nil {
		return err
	}
	out, err := s.run(ctx, dir, "go", "run", ".") // what is not moved is required by nothing
	if err != nil {
		return err
	}
	if out != greeting {
		return fmt.Errorf("the program printed %q instead of %q", out, greeting)
	}
	return nil
}

// useProgram installs the program of a module and lets it introduce itself.
func (s *stranger) useProgram(ctx context.Context, m module) error {
	dir := filepath.Join(s.temp, "elsewhere")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	if _, err := s.run(ctx, dir, "go", "install", m.path+"@"+version); err != nil {
		return err
	}
	name := filepath.Join(s.temp, "bin", m.path[strings.LastIndex(m.path, "/")+1:])
	shown, err := s.run(ctx, dir, name, "--version")
	if err != nil {
		return err
	}
	if !strings.Contains(shown, version) {
		return fmt.Errorf("--version printed %q, which does not name %s", shown, version)
	}
	help, err := s.run(ctx, dir, name, "--help")
	if err != nil {
		return err
	}
	if help == "" {
		return errors.New("--help printed nothing")
	}
	return nil
}

// get makes a module of the stranger's that requires some packages of ours,
// and returns where.
func (s *stranger) get(ctx context.Context, packages string) (string, error) {
	dir, err := os.MkdirTemp(s.temp, "with-")
	if err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	if _, err := s.run(ctx, dir, "go", "mod", "init", "stranger.example"); err != nil {
		return "", err
	}
	_, err = s.run(ctx, dir, "go", "get", packages+"@"+version)
	return dir, err
}

// run is [output] in the stranger's environment.
func (s *stranger) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), s.env...)
	return outputOf(cmd)
}
