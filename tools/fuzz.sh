#!/bin/sh
# Runs every fuzz target of the workspace for the given time, one after the
# other, and stops at the first that fails.
set -eu

time=${1:?usage: tools/fuzz.sh DURATION}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cache=$(go env GOCACHE)/fuzz

count=0
for dir in $(git grep -l '^func Fuzz' -- '*_test.go' | sed 's,/[^/]*$,,' | sort -u); do
	package=$(go list "./$dir")
	go test -c -vet=off -fuzz=. -o "$temp/fuzz.test" "./$dir"
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz $package $target"
		(cd "$dir" && "$temp/fuzz.test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$time" \
			-test.fuzzminimizetime=10x -test.fuzzcachedir="$cache/$package" </dev/null)
		count=$((count + 1))
	done
done

if [ "$count" = 0 ]; then
	echo "fuzz: no fuzz target was found" >&2
	exit 1
fi
