#!/bin/sh
# Runs the benchmarks in bench/, keeps the raw output in bench/results, and
# writes the tables in docs/benchmarks.md from it. A round runs everything once
# in one process; ROUNDS and BENCHTIME change how many and how long.
set -eu

cd bench
export GOWORK=off
commit=$(git describe --always --dirty)
temp=$(mktemp)
trap 'rm -f "$temp"' EXIT
mkdir -p results

for name in Hit Fetch; do
	command="go test -run=^\$ -bench=^Benchmark$name\$ -benchtime=${BENCHTIME:-1s} ."
	printf 'command: %s\ncommit: %s\n' "$command" "$commit" >"$temp"
	round=0
	while [ "$round" -lt "${ROUNDS:-8}" ]; do
		round=$((round + 1))
		echo "$name, round $round of ${ROUNDS:-8}"
		$command >>"$temp"
	done
	cp "$temp" "results/$(echo "$name" | tr '[:upper:]' '[:lower:]').txt"
done

go generate ./...
