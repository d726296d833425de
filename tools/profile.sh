#!/bin/sh
# Writes CPU profiles as text to bench/results: what takes how much of the time.
#
#	tools/profile.sh [CALLERS…] [large] [remove]
#
# CALLERS stands for that many who fetch values of 128 bytes, "large" for 16 who
# fetch 1 MiB. Each has a profile of the process that asks and one of the process
# that answers; over a stream, or by IMPL, another contestant such as gcnode-nats.
# "remove" is removals over NATS on twelve nodes in one process. The default is 16
# and 128 callers. RUNS says how many runs a profile is made of.
set -eu

impl=${IMPL:-gcnode-stream}
case $impl in
gcnode-stream) file=profile ;;
*) file=profile-${impl#gcnode-} ;;
esac

[ $# -gt 0 ] || set -- 16 128
cd bench
export GOWORK=off
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
commit=$(git describe --always --dirty)

# text writes what was run, as the first argument, and the profile of the other
# ones, which are files in a directory.
text() {
	printf 'command: %s\ncommit: %s\n' "$1" "$commit"
	directory=$2 files=$3
	printf 'command: %s\n' "go tool pprof -top -cum -nodecount=100 DIR/$files"
	# shellcheck disable=SC2086 # it is a pattern
	go tool pprof -top -cum -nodecount=100 "$directory"/$files 2>/dev/null |
		sed -n '/^Duration/,$p' | sed 's/\[go\.shape\.[^]]*\]/[…]/; s/\[go\.shape.*$/[…]/'
}

for what; do
	mkdir "$temp/$what"
	case $what in
	remove)
		bench='^BenchmarkRemoveNATS$'
		go test -run='^$' -bench="$bench" -benchtime=1x -cpuprofile="$temp/$what/remove.pprof" -o "$temp/$what/bench.test" . >"$temp/out"
		text "go test -run=^\$ -bench=$bench -benchtime=1x -cpuprofile=DIR/remove.pprof ." "$temp/$what" remove.pprof >results/profile-nats-remove.txt
		;;
	*)
		case $what in
		large) bench="^BenchmarkFetchLarge\$/^size=1MiB\$/^callers=16\$/^impl=$impl\$" ;;
		*) bench="^BenchmarkFetch\$/^callers=$what\$/^impl=$impl\$" ;;
		esac
		GCNODE_BENCH_PROFILES=$temp/$what go test -run='^$' -bench="$bench" -benchtime=1x -count="${RUNS:-10}" . >"$temp/out"
		for side in client server; do
			text "GCNODE_BENCH_PROFILES=DIR go test -run=^\$ -bench=$bench -benchtime=1x -count=${RUNS:-10} ." \
				"$temp/$what" "$impl-$side-*.pprof" >"results/$file-$what-$side.txt"
		done
		;;
	esac
done
