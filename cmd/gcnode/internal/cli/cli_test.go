package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/cli"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

// patience is how long tests wait for what happens soon: it only catches hangs.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run makes the directory for what the tests build, and removes it.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gcnode-cli-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	builtIn = dir
	return m.Run()
}

// builtIn is where the program, the getter and compiled modules are.
var builtIn string

// buildProgram compiles gcnode and returns its directory. It is the program as
// users have it, without the race detector, which compiles modules slowly.
var buildProgram = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(builtIn, "bin")
	return dir, goBuild(filepath.Join("..", ".."), nil, "-o", dir+string(filepath.Separator), ".")
})

// buildGuest compiles the getter of the tests and returns its path.
var buildGuest = sync.OnceValues(func() (string, error) {
	module := filepath.Join(builtIn, "guest.wasm")
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS="}
	return module, goBuild(filepath.Join("testdata", "guest"), env, "-buildmode=c-shared", "-ldflags=-s -w", "-o", module, ".")
})

// buildExtism compiles a module for Extism and returns its path.
var buildExtism = sync.OnceValues(func() (string, error) {
	module := filepath.Join(builtIn, "extism.wasm")
	source := filepath.Join("..", "..", "..", "..", "getters", "wasm", "testdata", "guests", "extism")
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS="}
	return module, goBuild(source, env, "-buildmode=c-shared", "-ldflags=-s -w", "-o", module, ".")
})

// goBuild runs go build in a directory.
func goBuild(dir string, env []string, args ...string) error {
	if err := os.MkdirAll(filepath.Join(builtIn, "bin"), 0o700); err != nil {
		return err
	}
	build := exec.CommandContext(context.Background(), "go", append([]string{"build", "-trimpath"}, args...)...)
	build.Dir = dir
	build.Env = append(os.Environ(), env...)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// compiled is where the tests' nodes keep compiled modules.
func compiled() string { return filepath.Join(builtIn, "compiled") }

// TestScripts runs testdata/script with real processes.
func TestScripts(t *testing.T) {
	program, err := buildProgram()
	require.NoError(t, err)
	guest, err := buildGuest()
	require.NoError(t, err)
	goEnv := map[string]string{}
	text, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &goEnv))
	extism, err := buildExtism()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GUEST", guest)
			env.Setenv("EXTISM", extism)
			env.Setenv("COMPILED", compiled())
			env.Setenv("PATH", program+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("NO_COLOR", "1")
			clone, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
			if err != nil {
				return err
			}
			env.Setenv("CLONE", clone)
			env.Setenv("PROGRAM", program)
			for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
				env.Setenv(name, goEnv[name])
			}
			return os.MkdirAll(filepath.Join(env.WorkDir, ".tmp"), 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"addr":      cmdAddr,
			"occupy":    cmdOccupy,
			"origin":    cmdOrigin,
			"await":     cmdAwait,
			"refused":   cmdRefused,
			"signal":    cmdSignal,
			"exits":     cmdExits,
			"expand":    cmdExpand,
			"module":    cmdModule,
			"unfueled":  cmdUnfueled,
			"empty":     cmdEmpty,
			"awaitfile": cmdAwaitFile,
			"addrsin":   cmdAddrsIn,
			"certs":     cmdCerts,
			"traced":    cmdTraced,
		},
	})
}

// listen listens on a free port of the loopback.
func listen(ts *testscript.TestScript) net.Listener {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	return l
}

// cmdAddr sets variables to addresses that nobody listens on: addr NAME...
func cmdAddr(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l := listen(ts)
		defer l.Close()
		ts.Setenv(name, l.Addr().String())
	}
}

// cmdOccupy sets a variable to an address that somebody listens on: occupy NAME.
func cmdOccupy(ts *testscript.TestScript, _ bool, args []string) {
	l := listen(ts)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// cmdOrigin starts a file server of one directory: origin NAME DIR. What is
// asked of /held/ waits until the directory has a file called release. The one
// file of /traced/ says to which trace the request for it belongs.
func cmdOrigin(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[1])
	files := http.FileServer(http.Dir(dir))
	asked := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/asked":
			select {
			case <-asked:
			default:
				w.WriteHeader(http.StatusNotFound)
			}
			return
		case "/held/":
			once.Do(func() { close(asked) })
			until(r.Context(), func() bool {
				_, err := os.Stat(filepath.Join(dir, "release"))
				return err == nil
			})
		}
		switch r.URL.Path {
		case "/traced/":
			fmt.Fprintln(w, `<a href="trace.go">`)
		case "/traced/trace.go":
			fmt.Fprintf(w, "trace %s, state %s", r.Header.Get("Traceparent"), r.Header.Get("Tracestate"))
		default:
			files.ServeHTTP(w, r)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// until polls a condition and reports whether it came to hold.
func until(ctx context.Context, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// cmdAwait waits until a URL answers with a status, and a body that matches:
// await STATUS URL [REGEXP].
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	want := regexp.MustCompile("")
	if len(args) > 2 {
		want = regexp.MustCompile("(?m)" + args[2])
	}
	last := "nobody answered"
	ok := until(context.Background(), func() bool {
		got, body, err := fetch(context.Background(), args[1])
		if err != nil {
			return false
		}
		last = fmt.Sprintf("%d %s", got, body)
		return got == status && want.MatchString(body)
	})
	if !ok {
		ts.Fatalf("%s never answered %s %s, the last answer was: %s", args[1], args[0], want, last)
	}
}

// cmdAwaitFile waits until a file exists whose text matches: awaitfile GLOB REGEXP.
func cmdAwaitFile(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[1])
	ok := until(context.Background(), func() bool {
		files, err := filepath.Glob(ts.MkAbs(args[0]))
		if err != nil || len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && want.Match(text)
	})
	if !ok {
		ts.Fatalf("there never was a file %s that matches %s", args[0], args[1])
	}
}

// cmdAddrsIn sets a variable to the addresses in files: addrsin NAME GLOB.
func cmdAddrsIn(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	var found []string
	for _, file := range files {
		found = append(found, regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindAllString(ts.ReadFile(file), -1)...)
	}
	if len(found) == 0 {
		ts.Fatalf("%v hold no address", files)
	}
	ts.Setenv(args[0], strings.Join(found, " "))
}

// cmdRefused waits until nobody listens on any address in its arguments:
// refused ADDRS...
func cmdRefused(ts *testscript.TestScript, _ bool, args []string) {
	for address := range strings.FieldsSeq(strings.Join(args, " ")) {
		ok := until(context.Background(), func() bool {
			conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
			if err == nil {
				conn.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		if !ok {
			ts.Fatalf("somebody listens on %s", address)
		}
	}
}

// cmdSignal sends a signal to a command in the background: signal TERM|HUP|INT INDEX.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signal, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}[args[0]]
	if !ok {
		ts.Fatalf("signal %s is none of TERM, HUP and INT", args[0])
	}
	index, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(ts.BackgroundCmds()[index].Process.Signal(signal))
}

// cmdExits runs a command and compares its exit status: exits STATUS COMMAND...
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got := strconv.Itoa(status); got != args[0] {
		ts.Fatalf("%s exits with status %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// cmdExpand replaces variables in files: expand FILE...
func cmdExpand(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// cmdModule writes the shortest WebAssembly module: module FILE.
func cmdModule(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\x00asm\x01\x00\x00\x00"), 0o600))
}

// cmdUnfueled writes a getter that answers every key with nothing, and whose table is
// too large for a module that is given fuel: unfueled FILE.
func cmdUnfueled(ts *testscript.TestScript, _ bool, args []string) {
	const sections = "\x01\x14\x03`\x06\x7f\x7f\x7f~\x7f\x7f\x01\x7f`\x00\x00`\x02\x7f\x7f\x01\x7f" + // types
		"\x02\x13\x01\x07gcnode1\x07respond\x00\x00" + // import
		"\x03\x03\x02\x01\x02" + // functions
		"\x04\x06\x01p\x00\x81\x80\b" + // table of 131,073 functions
		"\x05\x03\x01\x00\x01" + // memory
		"\x07&\x03\x0cgcnode_abi_1\x00\x01\x0agcnode_get\x00\x02\x06memory\x02\x00" + // exports
		"\x0a\x15\x02\x02\x00\x0b\x10\x00 \x00A\x00A\x00B\x7fA\x00A\x00\x10\x00\x0b" // code
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\x00asm\x01\x00\x00\x00"+sections), 0o600))
}

// cmdCerts makes an authority, ca.crt, and certificates for names: certs NAME...
func cmdCerts(ts *testscript.TestScript, _ bool, names []string) {
	authority, err := certstest.New(ts.MkAbs("."))
	ts.Check(err)
	for _, name := range names {
		ts.Check(authority.Give(name))
	}
}

// cmdTraced asks an API within a trace, and wants the origin to have been asked
// within it: traced URL.
func cmdTraced(ts *testscript.TestScript, _ bool, args []string) {
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "shop=1"
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, args[0], http.NoBody)
	ts.Check(err)
	r.Header.Set("Traceparent", parent)
	r.Header.Set("Tracestate", state)
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if got := string(body); got != "trace "+parent+", state "+state {
		ts.Fatalf("the origin was asked within: %s", got)
	}
}

// cmdEmpty looks that directories hold nothing: empty DIR...
func cmdEmpty(ts *testscript.TestScript, _ bool, dirs []string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(ts.MkAbs(dir))
		ts.Check(err)
		if len(entries) > 0 {
			ts.Fatalf("%s holds %v", dir, entries)
		}
	}
}

// TestArgumentsOfAnyBytesArriveUnchanged cannot be a script: those are UTF-8.
func TestArgumentsOfAnyBytesArriveUnchanged(t *testing.T) {
	var asked []string
	node := httptest.NewServer(api.Named("n", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		asked = append(asked, fmt.Sprintf("%s %s?%s %s", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, body))
		switch {
		case r.URL.Path == "/v1/groups/g\xff/values" && r.Method == http.MethodPost:
			for i := range 5 {
				fmt.Fprintf(w, `{"index":%d,"key":"","value":"v%[1]d"}`+"\n", 4-i)
			}
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusNoContent)
		}
	})))
	defer node.Close()
	keys := []string{"\xff\xfe", "a,b", `a\,b\`, "\u2028", "<&>"}
	const list = `[{"base64":"//4="},"a,b","a\\,b\\","\u2028","\u003c\u0026\u003e"]`
	const path = "/v1/groups/g%FF/"
	run := func(args ...string) string {
		t.Helper()
		asked = nil
		var out strings.Builder
		assert.Zero(t, cli.Run(t.Context(), append([]string{args[0], "--addr", node.URL, "g\xff"}, args[1:]...), &out, io.Discard))
		return out.String()
	}
	assert.Equal(t, "v0v1v2v3v4", run(append([]string{"get"}, keys...)...))
	assert.Equal(t, []string{"POST " + path + "values? " + list}, asked)
	run(append([]string{"rm"}, keys...)...)
	assert.Equal(t, []string{"POST " + path + "removals? " + list}, asked)
	for _, key := range keys {
		query := path + "value?key=" + url.QueryEscape(key) + " "
		run("get", key)
		assert.Equal(t, []string{"GET " + query}, asked)
		run("rm", key)
		assert.Equal(t, []string{"DELETE " + query}, asked)
		run("set", key, key)
		assert.Equal(t, []string{"PUT " + query + key}, asked)
	}
	run("clear")
	assert.Equal(t, []string{"DELETE " + path + "values?all=true "}, asked)
	var stderr strings.Builder
	assert.Equal(t, 2, cli.Run(t.Context(), []string{"check", "--config", "caf\xe9.yaml"}, io.Discard, &stderr))
	assert.Equal(t, "gcnode: configuration file: caf\xe9.yaml: no such file or directory\n", stderr.String())
}

// TestServeLeavesNothingBehind runs a node in this process.
func TestServeLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	path := filepath.Join(dir, "node.yaml")
	admin, err := freeAddress(t.Context())
	require.NoError(t, err)
	guest, err := buildGuest()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil,
		"listen: {api: \"127.0.0.1:0\", admin: %q, peers: \"127.0.0.1:0\"}\ncompilation_cache: %q\n"+
			"groups: {g: {plugin: {module: %q, allow_fetch: [http://127.0.0.1:1]}}}\n",
		admin, compiled(), guest), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	status := make(chan int, 1)
	go func() { status <- cli.Run(ctx, []string{"serve", "--config", path}, io.Discard, io.Discard) }()
	require.True(t, until(ctx, func() bool {
		status, _, err := fetch(ctx, "http://"+admin+"/readyz")
		return err == nil && status == http.StatusOK
	}))
	cancel()
	assert.Zero(t, <-status)
}

// freeAddress is an address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// fetch asks for a URL.
func fetch(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}
