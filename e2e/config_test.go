package e2e_test

import (
	"fmt"
	"strings"
)

// groups is the part of a configuration that holds the groups: those given and
// echo, which every node has.
func groups(others ...string) string {
	return "groups:\n" + echo("echo", "timeout: 1m") + strings.Join(others, "")
}

// echo is the configuration of a group whose values testdata/echo makes.
func echo(name, settings string) string {
	return fmt.Sprintf("  %s: {plugin: {module: %q, %s}}\n", name, built.echo, settings)
}

// with is the configuration of a group with more settings.
func with(group string, settings ...string) string {
	return group + "    " + strings.Join(settings, "\n    ") + "\n"
}

// documentation is the configuration of the group doc, whose values the godoc
// getter makes of what an origin serves.
func documentation(origin, format string) string {
	return fmt.Sprintf(`  doc:
    content_type: text/%[3]s
    load_timeout: 1m
    plugin:
      module: %[1]q
      memory: 64MiB
      timeout: 1m
      instances: 4
      pending: 2
      allow_fetch: [%[2]q]
      config: {origin: %[2]q, format: %[4]s}
`, built.godoc, origin, map[string]string{"text": "plain", "html": "html"}[format], format)
}
