package main

import (
	"errors"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// The settings of the getter; see the package comment.
type settings struct {
	origin       origin
	text         bool
	goos, goarch string
	cgo          bool
	tags         []string
	ttl          time.Duration // in terms of getter.Item
	negativeTTL  time.Duration // in terms of getter.Item
}

// readSettings returns all errors at once.
func readSettings(config getter.Config) (settings, error) {
	s := settings{}
	errs := []error{config.Only("origin", "format", "goos", "goarch", "cgo", "tags", "ttl", "negative_ttl")}
	note := func(err error) { errs = append(errs, err) }
	var err error

	s.origin, err = newOrigin(config.String("origin", ""))
	note(err)
	switch format := config.String("format", "html"); format {
	case "html":
	case "text":
		s.text = true
	default:
		note(fmt.Errorf("setting format: %q is neither html nor text", format))
	}
	s.goos, err = word(config, "goos", "linux")
	note(err)
	s.goarch, err = word(config, "goarch", "amd64")
	note(err)
	s.cgo, err = config.Bool("cgo", false)
	note(err)
	if tags := config.String("tags", ""); tags != "" {
		s.tags = strings.Split(tags, ",")
	}
	s.ttl, err = ttl(config, "ttl", time.Hour)
	note(err)
	s.negativeTTL, err = ttl(config, "negative_ttl", 30*time.Second)
	note(err)
	return s, errors.Join(errs...)
}

func word(config getter.Config, key, def string) (string, error) {
	v := config.String(key, def)
	if !regexp.MustCompile(`^[a-z0-9]+$`).MatchString(v) {
		return "", fmt.Errorf("setting %s: %q is not a name such as %s", key, v, def)
	}
	return v, nil
}

func ttl(config getter.Config, key string, def time.Duration) (time.Duration, error) {
	d, err := config.Duration(key, def)
	switch {
	case err != nil:
		return 0, err
	case d < 0:
		return 0, fmt.Errorf("setting %s: %v is negative", key, d)
	case d == 0:
		return getter.NoStore, nil
	default:
		return d, nil
	}
}

func newOrigin(raw string) (origin, error) {
	if raw == "" {
		return origin{}, errors.New("setting origin: is required, for example http://127.0.0.1:9000")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return origin{}, fmt.Errorf("setting origin: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return origin{}, fmt.Errorf("setting origin: %q is not a URL such as http://127.0.0.1:9000", raw)
	}
	return origin{base: strings.TrimSuffix(u.String(), "/")}, nil
}

// buildContext returns the rules by which the toolchain would choose files for
// the platform. Its file system is empty until a loader sets OpenFile.
func (s settings) buildContext() build.Context {
	c := build.Default
	c.GOOS, c.GOARCH, c.CgoEnabled = s.goos, s.goarch, s.cgo
	c.GOROOT, c.GOPATH = "", ""
	c.BuildTags = s.tags
	c.ToolTags = toolTags(c.ToolTags, s.goarch)
	c.JoinPath = path.Join
	c.SplitPathList = func(string) []string { return nil }
	c.IsAbsPath = path.IsAbs
	c.IsDir = func(string) bool { return false }
	c.HasSubdir = func(string, string) (string, bool) { return "", false }
	c.ReadDir = func(string) ([]fs.FileInfo, error) { return nil, fs.ErrNotExist }
	c.OpenFile = func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
	return c
}

// toolTags turns the tags that the toolchain sets for the machine this code
// was compiled for into those for another one. Experiments are on or off for
// all machines alike, except for the calling convention in registers.
func toolTags(own []string, goarch string) []string {
	var tags []string
	for _, tag := range own {
		if strings.HasPrefix(tag, "goexperiment.") && !strings.HasPrefix(tag, "goexperiment.regabi") {
			tags = append(tags, tag)
		}
	}
	inRegisters := []string{"amd64", "arm64", "loong64", "ppc64", "ppc64le", "riscv64", "s390x"}
	if slices.Contains(inRegisters, goarch) {
		tags = append(tags, "goexperiment.regabiwrappers", "goexperiment.regabiargs")
	}
	switch goarch {
	case "amd64":
		tags = append(tags, "amd64.v1")
	case "arm64":
		tags = append(tags, "arm64.v8.0")
	}
	return tags
}
