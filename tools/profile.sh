#!/bin/sh
# Writes CPU profiles of fetches, of the process that asks and of the one that
# answers, as text to bench/results: what takes how much of the time.
#
#	tools/profile.sh [CALLERS…]
#
# The default is 16 and 128 callers, with values of 128 bytes, over a stream. IMPL
# is another contestant, such as gcnode-nats. RUNS says how many runs a profile is
# made of.
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

for callers; do
	mkdir "$temp/$callers"
	bench="^BenchmarkFetch\$/^callers=$callers\$/^impl=$impl\$"
	GCNODE_BENCH_PROFILES=$temp/$callers go test -run='^$' -bench="$bench" -benchtime=1x -count="${RUNS:-10}" . >"$temp/out"
	for side in client server; do
		{
			printf 'command: %s\ncommit: %s\n' "GCNODE_BENCH_PROFILES=DIR go test -run=^\$ -bench=$bench -benchtime=1x -count=${RUNS:-10} ." "$commit"
			printf 'command: %s\n' "go tool pprof -top -cum -nodecount=100 DIR/$impl-$side-*.pprof"
			go tool pprof -top -cum -nodecount=100 "$temp/$callers"/"$impl-$side"-*.pprof 2>/dev/null |
				sed -n '/^Duration/,$p' | sed 's/\[go\.shape\.[^]]*\]/[…]/; s/\[go\.shape.*$/[…]/'
		} >"results/$file-$callers-$side.txt"
	done
done
