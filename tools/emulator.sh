#!/bin/sh
# Prints the flag with which "go test" runs programs for linux/arm64: none where
# the machine can, else -exec with qemu. Fails, and says why, without either.
set -u

[ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" = linux/arm64 ] && exit

for qemu in qemu-aarch64-static qemu-aarch64; do
	if command -v "$qemu" >/dev/null; then
		echo "-exec $qemu"
		exit
	fi
done
echo "cannot run programs for linux/arm64: install qemu-aarch64-static or qemu-aarch64 (Debian: qemu-user-static)" >&2
exit 1
