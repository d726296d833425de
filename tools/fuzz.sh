#!/bin/sh
# Runs every fuzz target of every module of go.work for the given time, one
# after the other, and stops at the first that fails.
set -eu

time=${1:?usage: tools/fuzz.sh DURATION}
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# For each package go test prints the targets, then a line with the package.
go test -list '^Fuzz' work >"$list"

count=0
targets=
while read -r word package _; do
	case $word in
	Fuzz*) targets="$targets $word" ;;
	ok)
		for target in $targets; do
			echo "fuzz $package $target"
			go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$package" </dev/null
			count=$((count + 1))
		done
		targets=
		;;
	esac
done <"$list"

if [ "$count" = 0 ]; then
	echo "fuzz: no fuzz target was found" >&2
	exit 1
fi
