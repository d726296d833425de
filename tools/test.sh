#!/bin/sh
# Runs "go test" with the given flags on the whole workspace.
#
# The race detector itself can fail ("ThreadSanitizer: CHECK failed"), which
# says nothing about the program: https://go.dev/issue/78156. The packages that
# it has failed on are tested again, up to three times; any other failure is one.
set -u

out=$(mktemp)
trap 'rm -f "$out" "$out.status"' EXIT

# run tests packages with the flags in "$flags".
flags=$*
run() {
	{
		# shellcheck disable=SC2086 # the flags are words
		go test $flags "$@" 2>&1
		echo $? >"$out.status"
	} | tee "$out"
	status=$(cat "$out.status")
}

run work
for _ in 1 2 3; do
	[ "$status" != 0 ] || exit 0
	grep -q '^ThreadSanitizer: CHECK failed' "$out" || exit "$status"
	if grep -q -e '--- FAIL' -e 'DATA RACE' -e '\[build failed\]' -e '^panic:' "$out"; then
		exit "$status"
	fi
	failed=$(awk '$1 == "FAIL" && NF > 1 { print $2 }' "$out")
	[ -n "$failed" ] || exit "$status"
	echo "the race detector itself failed: testing $failed again" >&2
	# shellcheck disable=SC2086 # the packages are words
	run $failed
done
exit "$status"
