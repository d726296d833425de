#!/bin/sh
# Keeps the probes and ready-made getters that tools/plugins.sh has built, and the
# hashes of what they were built from, for tests on machines that cannot build
# them.
set -eu
cd "$(dirname "$0")/.."

kept=getters/wasm/wasmtest/testdata
for language in c cpp rust assemblyscript; do
	cp "bin/plugins/probe-$language.wasm" "$kept/$language.wasm"
done
for language in c rust; do
	cp "bin/plugins/extism-$language.wasm" "$kept/extism-$language.wasm"
done
for getter in pointer table feed robots; do
	cp "bin/plugins/$getter.wasm" "$kept/"
done
git ls-files --cached --others --exclude-standard plugins/sdk/c plugins/sdk/rust plugins/sdk/assemblyscript plugins/testdata/probe plugins/testdata/extism plugins/pointer plugins/table plugins/feed plugins/robots plugins/internal/document |
	grep -v -e /example/ -e /probe/go/ -e /getter.yaml | LC_ALL=C sort | xargs sha256sum >"$kept/sources.sha256"
