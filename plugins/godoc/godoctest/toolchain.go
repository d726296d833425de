package godoctest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A Toolchain runs the go command for a platform. The zero value is the
// getter's default: linux, amd64, without cgo.
type Toolchain struct {
	GOOS   string
	GOARCH string
	Cgo    bool
}

// GOROOT returns the directory of the Go distribution; its "src" is an origin
// for the getter.
func (t Toolchain) GOROOT(ctx context.Context) (string, error) {
	out, err := t.run(ctx, "env", "GOROOT")
	return strings.TrimSpace(out), err
}

// StdPackages returns the import paths of the standard library that a program
// can import, sorted: without vendored and internal packages.
func (t Toolchain) StdPackages(ctx context.Context) ([]string, error) {
	all, err := t.AllStdPackages(ctx)
	if err != nil {
		return nil, err
	}
	var public []string
	for _, importPath := range all {
		if path := "/" + importPath + "/"; !strings.Contains(path, "/internal/") && !strings.HasPrefix(path, "/vendor/") {
			public = append(public, importPath)
		}
	}
	return public, nil
}

// AllStdPackages returns the import paths of the whole standard library,
// sorted, but for packages of nothing but tests.
func (t Toolchain) AllStdPackages(ctx context.Context) ([]string, error) {
	out, err := t.run(ctx, "list", "-f", "{{if or .GoFiles .CgoFiles}}{{.ImportPath}}{{end}}", "std")
	return strings.Fields(out), err
}

// Doc returns what "go doc -all" prints for a package.
func (t Toolchain) Doc(ctx context.Context, importPath string) (string, error) {
	return t.run(ctx, "doc", "-all", importPath)
}

// run returns the standard output of a go command. It runs outside of any
// module, so that only the standard library is seen.
func (t Toolchain) run(ctx context.Context, args ...string) (string, error) {
	goos, goarch, cgo := t.GOOS, t.GOARCH, "0"
	if goos == "" {
		goos = "linux"
	}
	if goarch == "" {
		goarch = "amd64"
	}
	if t.Cgo {
		cgo = "1"
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED="+cgo, "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
