package bench_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSize builds examples/embedded, which uses the core alone, without
// symbols, and a program that does the same without a cache.
func BenchmarkSize(b *testing.B) {
	plain := b.TempDir()
	write := func(name, text string) {
		require.NoError(b, os.WriteFile(filepath.Join(plain, name), []byte(text), 0o600))
	}
	write("go.mod", "module plain\n\ngo 1.26\n")
	write("main.go", `package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		b, err := os.ReadFile(lines.Text())
		fmt.Printf("%x %s %v\n", sha256.Sum256(b), lines.Text(), err)
	}
}
`)
	for _, platform := range []string{"linux/amd64", "linux/arm", "wasip1/wasm"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		for _, impl := range []struct{ name, dir, pkg string }{
			{"gcnode-cache", "../examples", "./embedded"},
			{"no-cache", plain, "."},
		} {
			b.Run("platform="+goos+"-"+goarch+"/impl="+impl.name, func(b *testing.B) {
				for b.Loop() {
					out := filepath.Join(b.TempDir(), "program")
					build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, impl.pkg)
					build.Dir = impl.dir
					build.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOWORK=off")
					text, err := build.CombinedOutput()
					require.NoError(b, err, "%s", text)
					info, err := os.Stat(out)
					require.NoError(b, err)
					b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
				}
			})
		}
	}
}
