#!/bin/sh
# Prints the flags that build tests with the race detector, if that works.
# Otherwise it prints nothing, says why on standard error, and fails if
# RACE=required.
#
# wazero compiles a module in one goroutine, which takes ten times as long when it
# is looked at: the packages that do so are not. Only packages without "sync" and
# "sync/atomic" can be left out: what is generic (sync.Map is) may be used by the
# whole program as they were built with it. Tests that build nodes ask this script,
# too.
set -u

off() {
	echo "the race detector is off: $1" >&2
	[ "${RACE:-}" != required ]
	exit
}

reason=$(go list -race errors 2>&1) || off "$reason"

if [ "$(go env CGO_ENABLED)" = 1 ]; then
	dir=$(mktemp -d) || exit
	trap 'rm -rf "$dir"' EXIT
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$dir/main.c"
	# CC may hold flags, so it is split into words.
	# shellcheck disable=SC2046
	$(go env CC) -o "$dir/main" "$dir/main.c" 2>"$dir/log" ||
		off "the C compiler \"$(go env CC)\" does not work: $(head -n 1 "$dir/log")"
fi

compiler=github.com/tetratelabs/wazero/internal/engine/wazevo
echo "-race -gcflags=$compiler/ssa=-race=false -gcflags=$compiler/backend/...=-race=false"
