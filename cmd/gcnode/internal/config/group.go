package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"slices"
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

// pathError leaves the name of the system call out of an error about a file.
func pathError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// sortedKeys are the keys of a mapping in order.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
