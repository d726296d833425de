package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// installs are the packages of Debian 12 and later that building for a language
// takes, as the command that installs them.
const (
	installsC              = "apt-get install -y --no-install-recommends clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32"
	installsCPlusPlus      = installsC + " libc++-19-dev-wasm32 libc++abi-19-dev-wasm32"
	installsRust           = "apt-get install -y --no-install-recommends rustc cargo libstd-rust-dev-wasm32 lld-14"
	installsJavaScript     = installsC + " nodejs npm"
	installsAssemblyScript = "apt-get install -y --no-install-recommends nodejs npm"
	installsGo             = "see https://go.dev/doc/install"
)

// wasmTarget is what Rust calls the platform.
const wasmTarget = "wasm32-unknown-unknown"

// MissingError says that something that building takes is not installed.
type MissingError struct {
	What     string
	Language Language
	Install  string // a command, or where it is told
}

// Error implements the error interface.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s, which building a getter in %s takes, is not installed: %s", e.What, e.Language, e.Install)
}

// Build compiles the project in a folder to a module. What compilers say goes
// to log.
func Build(ctx context.Context, dir, module string, log io.Writer) error {
	language, source, err := LanguageOf(dir)
	if err != nil {
		return err
	}
	if module, err = filepath.Abs(module); err != nil {
		return err
	}
	b := &builder{dir: dir, module: module, source: source, language: language, log: log}
	switch language {
	case Go:
		return b.buildGo(ctx)
	case Rust:
		return b.buildRust(ctx)
	case AssemblyScript:
		return b.buildAssemblyScript(ctx)
	case JavaScript:
		return b.buildJavaScript(ctx)
	default:
		return b.buildC(ctx)
	}
}

// builder compiles one project.
type builder struct {
	dir, source string
	module      string // the path of the result
	language    Language
	log         io.Writer
}

func (b *builder) buildGo(ctx context.Context) error {
	if err := b.need("go", installsGo); err != nil {
		return err
	}
	// With -mod=mod the hashes of what go.mod names are written down.
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=-mod=mod"}
	return b.run(ctx, env, "", "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", b.module, ".")
}

func (b *builder) buildC(ctx context.Context) error {
	compiler, installs := "clang-19", installsC
	flags := []string{"--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-Wall", "-Wextra", "-I", ".", "-Wl,--strip-debug"}
	if b.language == CPlusPlus {
		compiler, installs = "clang++-19", installsCPlusPlus
		flags = append(flags, "-std=c++17", "-fno-exceptions", "-fno-rtti")
	}
	for _, tool := range []string{compiler, "wasm-ld-19"} {
		if err := b.need(tool, installs); err != nil {
			return err
		}
	}
	return b.run(ctx, nil, installs, compiler, append(flags, "-o", b.module, b.source)...)
}

func (b *builder) buildRust(ctx context.Context) error {
	cargo, env, err := b.rustToolchain(ctx)
	if err != nil {
		return err
	}
	if err := b.run(ctx, env, "", cargo, "build", "--quiet", "--release", "--target", wasmTarget); err != nil {
		return err
	}
	built, err := filepath.Glob(filepath.Join(b.dir, "target", wasmTarget, "release", "*.wasm"))
	if err != nil || len(built) != 1 {
		return fmt.Errorf("cargo has built %d modules (%s), and one is wanted: "+
			"Cargo.toml needs crate-type = [\"cdylib\"], and remains of another name go with cargo clean", len(built), strings.Join(built, ", "))
	}
	code, err := os.ReadFile(built[0])
	if err != nil {
		return err
	}
	return os.WriteFile(b.module, code, 0o666)
}

// rustToolchain is the first one in the path that has the standard library for
// modules: often there is one of rustup, and Debian's.
func (b *builder) rustToolchain(ctx context.Context) (cargo string, env []string, err error) {
	const missing = " (or, with rustup: rustup target add " + wasmTarget + ")"
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		cargo, rustc := filepath.Join(dir, "cargo"), filepath.Join(dir, "rustc")
		if b.need(cargo, "") != nil || b.need(rustc, "") != nil {
			continue
		}
		sysroot, err := b.output(ctx, rustc, "--print", "sysroot")
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(sysroot, "lib", "rustlib", wasmTarget, "lib")); err != nil {
			continue
		}
		env := []string{"RUSTC=" + rustc, "CARGO_TARGET_DIR=target"}
		if _, err := os.Stat(filepath.Join(sysroot, "lib", "rustlib", "components")); err == nil {
			return cargo, env, nil // of rustup, which brings a linker
		}
		// The linker has to be of the LLVM that the libraries were made with.
		about, err := b.output(ctx, rustc, "-vV")
		if err != nil {
			return "", nil, err
		}
		linker := "wasm-ld"
		if version := regexp.MustCompile(`LLVM version: ([0-9]+)`).FindStringSubmatch(about); version != nil {
			linker += "-" + version[1]
		}
		if err := b.need(linker, strings.Replace(installsRust, "lld-14", strings.Replace(linker, "wasm-ld", "lld", 1), 1)); err != nil {
			return "", nil, err
		}
		return cargo, append(env, "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="+linker), nil
	}
	return "", nil, &MissingError{"a Rust toolchain with the standard library for " + wasmTarget, b.language, installsRust + missing}
}

func (b *builder) buildAssemblyScript(ctx context.Context) error {
	for _, tool := range []string{"node", "npm"} {
		if err := b.need(tool, installsAssemblyScript); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "node_modules", "gcnode")); err != nil {
		if err := b.run(ctx, nil, "", "npm", "install", "--no-audit", "--no-fund", "--silent"); err != nil {
			return err
		}
	}
	return b.run(ctx, nil, "", "npm", "exec", "--offline", "--", "asc", b.source, "-o", b.module, "-O",
		"--runtime", "incremental", "--use", "abort=~lib/gcnode/assembly/getter/abort")
}

// engine is where the source of QuickJS is in a project, and compiled where what
// was made of it is kept.
const (
	engine   = "node_modules/qjsc/deps/quickjs_2021_03_27"
	compiled = "node_modules/.gcnode"
)

// buildJavaScript links a script with an engine, which is compiled once. What the
// script does not mention, the module does not ask for.
func (b *builder) buildJavaScript(ctx context.Context) error {
	for _, tool := range []string{"clang-19", "wasm-ld-19", "node", "npm"} {
		if err := b.need(tool, installsJavaScript); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, filepath.FromSlash(engine))); err != nil {
		// The package would otherwise build an add-on for node.
		if err := b.run(ctx, nil, "", "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(b.dir, filepath.FromSlash(compiled)), 0o777); err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(b.dir, b.source))
	if err != nil {
		return err
	}
	flags := []string{"--target=wasm32-wasi", "-Os"}
	link := append(slices.Clone(flags), "-mexec-model=reactor", "-std=c23", "-Wl,--strip-debug", "-Wl,-z,stack-size=1048576", "-isystem", engine, "-I", "sdk",
		"--embed-dir=.", `-DSCRIPT="`+b.source+`"`, "-o", b.module, "sdk/getter.c")
	for word, macro := range map[string]string{"fetch": "-DGCNODE_FETCH", "gcnode.store": "-DGCNODE_STORE"} {
		if strings.Contains(string(script), word) {
			link = append(link, macro)
		}
	}
	for _, part := range []string{"quickjs", "libregexp", "libunicode", "cutils"} {
		object := compiled + "/" + part + ".o"
		link = append(link, object)
		if _, err := os.Stat(filepath.Join(b.dir, filepath.FromSlash(object))); err == nil {
			continue
		}
		// Without EMSCRIPTEN the engine wants threads, and modules have no modes
		// of rounding but the default, which is 0.
		args := append(slices.Clone(flags), "-w", "-D_GNU_SOURCE", "-DEMSCRIPTEN", "-DFE_DOWNWARD=0", "-DFE_UPWARD=0",
			`-DCONFIG_VERSION="2021-03-27"`, "-c", "-o", object, engine+"/"+part+".c")
		if err := b.run(ctx, nil, installsJavaScript, "clang-19", args...); err != nil {
			return err
		}
	}
	return b.run(ctx, nil, installsJavaScript, "clang-19", link...)
}

// need reports a program that is not installed.
func (b *builder) need(program, install string) error {
	if _, err := exec.LookPath(program); err != nil {
		return &MissingError{program, b.language, install}
	}
	return nil
}

// run runs a program in the folder of the project. installs is what may be
// missing if it fails for want of a file that is not the project's.
func (b *builder) run(ctx context.Context, env []string, installs, program string, args ...string) error {
	var said bytes.Buffer
	cmd := b.command(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = b.log
	cmd.Stderr = io.MultiWriter(b.log, &said)
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("%s failed: %w", program, err)
	if installs != "" && regexp.MustCompile(`fatal error: '(std|string|c?std[a-z]+|[a-z_]+)(\.h)?' file not found|cannot open .*(crt1|libclang_rt|libc)`).Match(said.Bytes()) {
		err = fmt.Errorf("%w: perhaps not everything is there that this installs: %s", err, installs)
	}
	return err
}

// output is the first line, or all, of what a program says.
func (b *builder) output(ctx context.Context, program string, args ...string) (string, error) {
	text, err := b.command(ctx, program, args...).Output()
	if err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("%s failed: %w", program, err))
	}
	return strings.TrimSpace(string(text)), nil
}

// command is a program that a signal to this one ends as well.
func (b *builder) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second // then it is killed
	return cmd
}
