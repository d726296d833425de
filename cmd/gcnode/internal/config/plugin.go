package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gcnode/gcnode/getters/wasm"
)

// Options are those of the module's host, as far as they are configured.
func (p *Plugin) Options() wasm.Options {
	return wasm.Options{
		SHA256:          p.SHA256,
		Function:        p.Function,
		Config:          p.Config,
		Env:             p.Env,
		AllowFetch:      p.AllowFetch,
		AllowPrivate:    p.AllowPrivate,
		MaxFetches:      p.MaxFetches,
		MaxFetchBytes:   p.MaxFetchBytes,
		MaxMemoryBytes:  p.MaxMemoryBytes,
		Timeout:         p.Timeout,
		Instances:       p.Instances,
		Pending:         p.Pending,
		StoreBytes:      p.StoreBytes,
		ParallelFetches: p.ParallelFetches,
		Queue:           p.Queue,

		Interruption:     p.Interruption,
		MaxFuel:          int64(p.MaxFuel),
		CallsPerInstance: p.CallsPerInstance,
		BreakAfter:       p.BreakAfter,
		Credentials:      p.Credentials,
	}
}

// hashWanted is what the hash of a module looks like.
const hashWanted = "the SHA-256 of the module, 64 hexadecimal digits, as gcnode plugin inspect tells it"

// plugin reads how a module is run: what its manifest says, if it has one, and
// what is said here on top.
func (r *reader) plugin(in *section, p Plugin) Plugin {
	var path string
	if t, ok := in.text("manifest", "the path of a manifest (see gcnode plugin new)", &path); ok {
		theirs := *r
		theirs.modulesMayLack = r.modulesMayLack || in.find("module") != nil // another one takes its place
		m, err := theirs.manifest(r.path(path), p)
		if err != nil {
			t.wrong("%s", err)
		}
		p = m.Plugin
	} else if in.find("module") == nil {
		in.missing("module", "the path of a WebAssembly module, relative to this file, or of its manifest (manifest: getter.yaml)")
	}
	p = r.pluginSettings(in, p)
	p.Credentials = r.credentials(in.section("credentials")) // a manifest has none: the secrets are this node's
	in.interruption(&p.Interruption)                         // nor this: it comes with the module, which is not to choose its sandbox
	in.close()
	return p
}

// pluginSettings reads what a manifest and the configuration of a node have in
// common. Lists replace those in p, tables are put on top.
func (r *reader) pluginSettings(in *section, p Plugin) Plugin {
	if t, ok := in.text("module", "the path of a WebAssembly module", &p.Module); ok {
		p.Module = r.path(p.Module)
		if err := r.checkModule(p.Module); err != nil {
			t.wrong("%s", err)
		}
	}
	if t, ok := in.text("sha256", hashWanted, &p.SHA256); ok {
		if raw, err := hex.DecodeString(p.SHA256); err != nil || len(raw) != sha256.Size {
			t.wrong("%q must be %s", p.SHA256, hashWanted)
		}
	}
	in.text("function", "the name of a function that the module exports", &p.Function)
	in.size("memory", &p.MaxMemoryBytes, minMemory, maxMemory)
	in.duration("timeout", &p.Timeout, smallestTimeout, 0, nil)
	in.count("instances", &p.Instances, 1, maxInstances)
	in.count("pending", &p.Pending, 1, maxPending)
	in.count("queue", &p.Queue, 1, maxQueue)
	in.count("max_fuel", &p.MaxFuel, 1, maxFuel)
	in.count("calls_per_instance", &p.CallsPerInstance, 1, maxCalls)
	in.count("break_after", &p.BreakAfter, 1, maxCalls)
	in.size("store", &p.StoreBytes, 0, maxStore)
	in.count("max_fetches", &p.MaxFetches, 1, maxFetches)
	in.count("parallel_fetches", &p.ParallelFetches, 1, maxFetches)
	in.size("max_fetch_bytes", &p.MaxFetchBytes, 1, maxFetchBytes)
	origins := in.texts("allow_fetch", "origins such as https://example.com or http://10.0.0.9:8080")
	if in.find("allow_fetch") != nil {
		p.AllowFetch = nil
	}
	for _, origin := range origins {
		if err := checkOrigin(origin.value); err != nil {
			origin.wrong("%s", err)
			continue
		}
		p.AllowFetch = append(p.AllowFetch, origin.value)
	}
	in.boolean("allow_private", &p.AllowPrivate)
	p.Config = OnTop(p.Config, in.table("config"))
	env := in.table("env")
	for _, name := range sortedKeys(env) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			in.section("env").wrongKey(name, "the name of a variable must not be empty or hold = or NUL")
		}
		if strings.Contains(env[name], "\x00") {
			in.section("env").wrongKey(name, "the value of a variable must not hold NUL")
		}
	}
	p.Env = OnTop(p.Env, env)
	return p
}

// interruption reads how a module is interrupted that cannot be given fuel.
func (s *section) interruption(dst *wasm.Interruption) {
	var word string
	t, ok := s.text("interruption", "fuel or engine", &word)
	if !ok {
		return
	}
	switch word {
	case wasm.InterruptByFuel.String():
		*dst = wasm.InterruptByFuel
	case wasm.InterruptByEngine.String():
		*dst = wasm.InterruptByEngine
	default:
		t.wrong("%q must be fuel or engine", word)
	}
}

// credentials reads header fields for origins, each from a file or a variable of the
// environment, one a line.
func (r *reader) credentials(in *section) map[string]http.Header {
	if len(in.entries) == 0 {
		return nil
	}
	all := make(map[string]http.Header, len(in.entries))
	for _, e := range in.entries {
		at, content, ok := r.secretText(in.section(e.key), "an origin")
		if !ok {
			continue
		}
		header := http.Header{}
		for _, line := range secretLines(content) {
			name, value, found := strings.Cut(line, ":")
			if !found {
				at.wrong("each line of it must be a header field, such as Authorization: Bearer …")
				continue
			}
			header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		if len(secretLines(content)) == 0 {
			at.wrong("there is no header field in it")
		}
		all[e.key] = header
	}
	return all
}

// OnTop is a table with the entries of another one on top; nil when there are
// none.
func OnTop(table, more map[string]string) map[string]string {
	if len(table) == 0 {
		return more
	}
	table = maps.Clone(table)
	maps.Copy(table, more)
	return table
}

// checkModule looks whether the file is a WebAssembly module at all, if it has
// to be there.
func (r *reader) checkModule(path string) error {
	if r.modulesMayLack {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return pathError(err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s must be a file that holds a WebAssembly module, not a directory or device", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return pathError(err)
	}
	defer func() { _ = f.Close() }()
	magic := make([]byte, len(wasmMagic))
	if _, err := io.ReadFull(f, magic); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if string(magic) != wasmMagic {
		return fmt.Errorf("%s is not a WebAssembly module (it does not begin with \\0asm)", path)
	}
	return nil
}

// checkOrigin accepts scheme://host and scheme://host:port.
func checkOrigin(text string) error {
	const want = "must be an origin such as https://example.com or http://10.0.0.9:8080, without a path"
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("%q %s", text, want)
	}
	if u.Scheme+"://"+u.Host != text || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%q %s", text, want)
	}
	if strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q: there are no wildcards; list every host", text)
	}
	if port := u.Port(); port != "" {
		return checkPort(port, 1)
	}
	return nil
}
