#!/bin/sh
# emulator.sh ARCH... prints the first of these for which this machine runs
# programs for Linux, and the flag with which "go test" does: none where the
# machine can by itself, else -exec with qemu. Fails, and says why, without any.
set -u

try=$(mktemp -d) || exit
trap 'rm -rf "$try"' EXIT
printf 'package main\n\nfunc main() {}\n' >"$try/main.go"

# runs reports whether a program built for the architecture runs here, by "$@".
# Not every x86 machine has 32-bit programs, and not every qemu those of Go.
runs() { "$@" "$try/main" >"$try/said" 2>&1; }

missing=
for arch; do
	case $arch in
	386) cpu=i386 ;;
	arm64) cpu=aarch64 ;;
	*) cpu=$arch ;;
	esac
	GOOS=linux GOARCH=$arch go build -o "$try/main" "$try/main.go" || exit
	if runs; then
		echo "$arch"
		exit
	fi
	for qemu in qemu-$cpu-static qemu-$cpu; do
		if runs "$qemu"; then
			echo "$arch -exec $qemu"
			exit
		fi
	done
	missing="$missing qemu-$cpu-static"
done
echo "cannot run programs for linux on $*: install one of$missing (Debian: qemu-user-static)" >&2
exit 1
