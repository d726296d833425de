#!/bin/sh
# Prints -race if tests can be built with the race detector. Otherwise it
# prints nothing, says why on standard error, and fails if RACE=required.
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

echo -race
