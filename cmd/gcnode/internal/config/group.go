package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// groups reads the mapping from names to groups.
func (r *reader) groups(file *section, cfg *Config) {
	groups := file.section("groups")
	if len(groups.entries) == 0 && !groups.broken {
		file.missing("groups", "a node serves at least one group (groups: {name: {plugin: {module: file.wasm}}})")
	}
	for _, e := range groups.entries {
		if len(e.key) == 0 || len(e.key) > gcnode.MaxIDBytes {
			groups.wrongKey(e.key, fmt.Sprintf("the name of a group must have 1 to %d bytes", gcnode.MaxIDBytes))
		}
		cfg.Groups = append(cfg.Groups, r.group(groups.section(e.key), e.key))
	}
}

// group reads one group.
func (r *reader) group(in *section, name string) Group {
	g := defaultGroup(name)
	if t, ok := in.text("content_type", "a media type such as text/html; charset=utf-8", &g.ContentType); ok {
		if _, _, err := mime.ParseMediaType(g.ContentType); err != nil {
			t.wrong("%q must be a media type such as text/html; charset=utf-8", g.ContentType)
		}
	}
	in.size("max_bytes", &g.MaxBytes, minGroupBytes, maxGroupBytes)

	ttl := time.Duration(g.TTL)
	in.duration("ttl", &ttl, shortestTime, 0, map[string]time.Duration{
		forever: time.Duration(gcnode.Forever),
		noStore: time.Duration(gcnode.NoStore),
	})
	g.TTL = gcnode.Lifetime(ttl)
	in.duration("negative_ttl", &g.NegativeTTL, shortestTime, longestTime, map[string]time.Duration{never: -1})
	in.part("ttl_jitter", &g.TTLJitter)
	none := map[string]time.Duration{never: 0}
	in.duration("refresh_ahead", &g.RefreshAhead, shortestTime, longestTime, none)
	in.duration("stale_while_revalidate", &g.StaleWhileRevalidate, shortestTime, longestTime, none)
	in.duration("stale_on_error", &g.StaleOnError, shortestTime, longestTime, none)
	in.duration("load_timeout", &g.LoadTimeout, smallestTimeout, longestTime, nil)
	in.count("max_loads", &g.MaxLoads, 1, maxLoads)
	in.count("max_queued_loads", &g.MaxQueuedLoads, 0, maxLoads)
	in.count("hot_after", &g.HotAfter, 1, maxHotAfter)
	checkGroup(in, &g)
	if plugin := in.section("plugin"); in.find("plugin") != nil {
		g.Plugin = r.plugin(plugin, g.Plugin)
	} else {
		in.missing("plugin", "a group needs the module that its values come from (plugin: {module: file.wasm})")
	}
	in.close()
	return g
}

// checkGroup checks that the settings of a group fit together.
func checkGroup(in *section, g *Group) {
	if ttl, ok := g.TTL.Duration(); ok && g.RefreshAhead >= ttl {
		in.wrongKey("refresh_ahead", fmt.Sprintf("%s is not shorter than ttl, which is %s",
			formatDuration(g.RefreshAhead), formatDuration(ttl)))
	}
	if g.MaxQueuedLoads > 0 && in.find("max_loads") == nil {
		in.wrongKey("max_queued_loads", "is of no use without max_loads: no load waits for its turn while there is no limit on them")
	}
}

// plugin reads how a module is run.
func (r *reader) plugin(in *section, p Plugin) Plugin {
	if t, ok := in.text("module", "the path of a WebAssembly module", &p.Module); ok {
		p.Module = r.path(p.Module)
		if err := checkModule(p.Module); err != nil {
			t.wrong("%s", err)
		}
	} else if in.find("module") == nil {
		in.missing("module", "the path of a WebAssembly module, relative to this file")
	}
	in.text("function", "the name of a function that the module exports", &p.Function)
	in.size("memory", &p.MaxMemoryBytes, minMemory, maxMemory)
	in.duration("timeout", &p.Timeout, smallestTimeout, 0, nil)
	in.count("instances", &p.Instances, 1, maxInstances)
	in.count("pending", &p.Pending, 1, maxPending)
	in.count("queue", &p.Queue, 1, maxQueue)
	in.size("store", &p.StoreBytes, 0, maxStore)
	in.count("max_fetches", &p.MaxFetches, 1, maxFetches)
	in.count("parallel_fetches", &p.ParallelFetches, 1, maxFetches)
	in.size("max_fetch_bytes", &p.MaxFetchBytes, 1, maxFetchBytes)
	for _, origin := range in.texts("allow_fetch", "origins such as https://example.com or http://10.0.0.9:8080") {
		if err := checkOrigin(origin.value); err != nil {
			origin.wrong("%s", err)
			continue
		}
		p.AllowFetch = append(p.AllowFetch, origin.value)
	}
	in.boolean("allow_private", &p.AllowPrivate)
	p.Config = in.table("config")
	p.Env = in.table("env")
	for _, name := range sortedKeys(p.Env) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			in.section("env").wrongKey(name, "the name of a variable must not be empty or hold = or NUL")
		}
		if strings.Contains(p.Env[name], "\x00") {
			in.section("env").wrongKey(name, "the value of a variable must not hold NUL")
		}
	}
	in.close()
	return p
}

// checkModule looks whether the file is a WebAssembly module at all.
func checkModule(path string) error {
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

// pathError leaves the name of the system call out of an error about a file.
func pathError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
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

// sortedKeys are the keys of a mapping in order.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
