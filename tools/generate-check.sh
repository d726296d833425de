#!/bin/sh
# Fails if the command that it is given changes a file. The files before and
# after are compared as git trees, written with an index and an object store of
# their own, so that the check works with uncommitted changes and leaves no
# trace.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
objects=$(git rev-parse --path-format=absolute --git-path objects)

scratch() {
	GIT_INDEX_FILE="$dir/index" GIT_OBJECT_DIRECTORY="$dir/objects" \
		GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects" git "$@"
}

mkdir "$dir/objects"
scratch add --all
before=$(scratch write-tree)
"$@"
scratch add --all
after=$(scratch write-tree)

if [ "$before" != "$after" ]; then
	scratch diff --stat "$before" "$after"
	echo 'generated files are out of date: run "make generate" and commit what it wrote' >&2
	exit 1
fi
