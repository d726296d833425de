#!/bin/sh
# Runs every fuzz target of the workspace for the given time, one after the
# other, and stops at the first that fails.
#
# When the time is over, a worker that is busy can make Go report that as a
# failure ("context deadline exceeded", without an input):
# https://go.dev/issue/75804. The target is run again then, up to three times; any
# other failure is one.
set -eu

time=${1:?usage: tools/fuzz.sh DURATION}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cache=$(go env GOCACHE)/fuzz

# fuzz runs a target of the program that was built for a package.
fuzz() {
	{
		(cd "$1" && "$temp/fuzz.test" -test.run='^$' -test.fuzz="^$3\$" -test.fuzztime="$time" \
			-test.fuzzminimizetime=10x -test.fuzzcachedir="$cache/$2" </dev/null 2>&1) &&
			echo 0 >"$temp/status" || echo 1 >"$temp/status"
	} | tee "$temp/out"
	return "$(cat "$temp/status")"
}

# late reports whether the last run failed for nothing but the end of its time.
late() {
	[ "$(sed -n '/^--- FAIL/,$p' "$temp/out" | sed 's/(.*//')" = "--- FAIL: $1 
    context deadline exceeded
FAIL" ]
}

count=0
for dir in $(git grep -l '^func Fuzz' -- '*_test.go' | sed 's,/[^/]*$,,' | sort -u); do
	package=$(go list "./$dir")
	go test -c -vet=off -fuzz=. -o "$temp/fuzz.test" "./$dir"
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz $package $target"
		for attempt in 1 2 3 4; do
			fuzz "$dir" "$package" "$target" && break
			[ $attempt -lt 4 ] && late "$target" || exit 1
			echo "the time was over while it was busy: fuzzing $target again" >&2
		done
		count=$((count + 1))
	done
done

if [ "$count" = 0 ]; then
	echo "fuzz: no fuzz target was found" >&2
	exit 1
fi
