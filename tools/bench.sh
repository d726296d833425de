#!/bin/sh
# Runs the benchmarks in bench/, keeps the raw output in bench/results, and
# writes docs/benchmarks.md from it.
#
#	tools/bench.sh [NAME…]
#
# The names are those of benchmarks, without "Benchmark", or "cluster", "fetch" or
# "wasm"; the default is all of them. A round runs everything once, so that
# what is compared was measured at about the same time; ROUNDS says how many
# there are. RESULTS is where the raw output goes; elsewhere than in
# bench/results the document is left alone. QUICK=1 has small sizes, to see that
# everything works. TRACES is a directory of traces.
set -eu

rounds=${ROUNDS:-6}
traces=${TRACES:-../shared/traces}
if [ -d "$traces" ]; then
	TRACES=$(cd "$traces" && pwd)
	export TRACES
else
	unset TRACES
fi
commit=$(git describe --always --dirty)

cd bench
export GOWORK=off
results=${RESULTS:-results}
mkdir -p "$results"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# once says what is the same in every run: one will do.
once() {
	case $1 in Policy | Balance | Size) return 0 ;; *) return 1 ;; esac
}

# amount is the -benchtime of a benchmark. Fixed numbers of operations spare
# the trials in which the testing package looks for one.
amount() {
	case $1 in
	Hit | HitTTL) echo 2000000x ;;
	Fill) echo 400000x ;;
	Mixed) echo 500000x ;;
	Owner) echo 5000000x ;;
	WasmGet) echo 300000x ;;
	Flight | Extism) echo 300ms ;;
	*) echo 1x ;;
	esac
}

flags() {
	if [ "${QUICK:-0}" = 1 ]; then
		echo "-short -benchtime=$(amount "$1" | sed 's/000x/x/; s/300ms/1ms/')"
	else
		echo "-benchtime=$(amount "$1")"
	fi
}

# run runs a benchmark and appends its output to a file.
run() {
	# shellcheck disable=SC2046 # the flags are words
	go test -timeout=2h -run='^$' -bench="^Benchmark$1\$" $(flags "$1") . >>"$2" || {
		cat "$2" >&2
		exit 1
	}
}

# What runs whole clusters, what gets values from another process, and what runs
# getters in WebAssembly; "cluster", "fetch" and "wasm" stand for all of it.
cluster='Remove RemoveNATS Burst Restart DeadPeer Cold'
fetch='Fetch FetchLarge FetchBeside FetchNATS'
wasm='WasmGet WasmNode WasmFlat WasmFetch WasmFuel WasmEndless WasmStart WasmReload Extism'
# shellcheck disable=SC2086 # the names are words
case "$*" in
cluster) set -- $cluster ;;
fetch) set -- $fetch ;;
wasm) set -- $wasm ;;
'') set -- Hit HitTTL Fill Mixed Memory HeapLimit Ratio Policy Owner Balance Flight $fetch $wasm Size $cluster ;;
esac
case " $*" in *' Fetch'*) ../tools/servers.sh ;; esac

for name; do
	printf 'command: %s\ncommit: %s\n' \
		"go test -run=^\$ -bench=^Benchmark$name\$ $(flags "$name") ." "$commit" >"$temp/$name"
done
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	for name; do
		if [ "$round" -gt 1 ] && once "$name"; then
			continue
		fi
		echo "round $round of $rounds: $name"
		begun=$(date +%s)
		if [ "$name" = Ratio ]; then
			# Ratios are no times: two rounds run side by side.
			[ $((round % 2)) = 1 ] || continue
			if [ "$round" -lt "$rounds" ]; then
				run "$name" "$temp/second" &
				run "$name" "$temp/$name"
				wait $!
				cat "$temp/second" >>"$temp/$name"
				rm "$temp/second"
			else
				run "$name" "$temp/$name"
			fi
		else
			run "$name" "$temp/$name"
		fi
		echo "    $(($(date +%s) - begun)) s"
	done
done
for name; do
	cp "$temp/$name" "$results/$(echo "$name" | tr '[:upper:]' '[:lower:]').txt"
done

if [ "$results" = results ]; then
	go generate ./...
fi
