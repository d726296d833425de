#!/bin/sh
# Builds the ready-made getters, the examples and the probes of the SDKs in other
# languages than Go into bin/plugins/, as docs/writing-getters.md says. What is missing is installed as
# it says there, where that is possible. Where it is not, it says what is
# missing, and fails if PLUGINS=required.
set -u
cd "$(dirname "$0")/.." || exit

sdk=plugins/sdk probe=plugins/testdata/probe extism=plugins/testdata/extism out=bin/plugins
mkdir -p "$out" bin/assemblyscript || exit

wasi='--target=wasm32-wasi -mexec-model=reactor -Os -Wall -Wextra -Werror -Wl,--strip-all'

# shellcheck disable=SC2086 # the flags are words
c() {
	clang-19 $wasi -std=c11 -Wpedantic -I $sdk/c -o $out/greet-c.wasm $sdk/c/example/greet.c &&
		clang-19 $wasi -std=c11 -Wpedantic -I $sdk/c -o $out/probe-c.wasm $probe/c/probe.c &&
		clang-19 $wasi -std=c11 -Wpedantic -o $out/extism-c.wasm $extism/c/get.c &&
		clang-19 $wasi -std=c11 -Wpedantic -I $sdk/c -I plugins/internal/document -o $out/table.wasm plugins/table/table.c
}

# shellcheck disable=SC2086
cpp() {
	clang++-19 $wasi -std=c++17 -fno-exceptions -fno-rtti -I $sdk/c -o $out/greet-cpp.wasm $sdk/c/example/greet.cc &&
		clang++-19 $wasi -std=c++17 -fno-exceptions -fno-rtti -I $sdk/c -o $out/probe-cpp.wasm $probe/cpp/probe.cc &&
		clang++-19 $wasi -std=c++17 -fno-exceptions -fno-rtti -I $sdk/c -I plugins/internal/document -o $out/feed.wasm plugins/feed/feed.cc
}

# The toolchain is Debian's, also beside one of rustup.
rust() {
	PATH=/usr/bin:/bin:$PATH CARGO_TARGET_DIR=$PWD/bin/rust
	export PATH CARGO_TARGET_DIR
	for project in $sdk/rust/example $probe/rust plugins/pointer; do
		(cd $project && cargo build --quiet --offline --locked --release --target wasm32-unknown-unknown) || return
	done
	rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=s -C lto -C panic=abort -C strip=symbols \
		-C linker=wasm-ld-14 -o $out/extism-rust.wasm $extism/rust/get.rs || return
	cp bin/rust/wasm32-unknown-unknown/release/greet.wasm $out/greet-rust.wasm &&
		cp bin/rust/wasm32-unknown-unknown/release/probe.wasm $out/probe-rust.wasm &&
		cp bin/rust/wasm32-unknown-unknown/release/pointer.wasm $out/
}

assemblyscript() {
	cp $sdk/assemblyscript/example/greet.ts $probe/assemblyscript/probe.ts plugins/robots/robots.ts bin/assemblyscript/ && (
		cd bin/assemblyscript || exit
		[ -e package.json ] || npm init -y >/dev/null || exit
		[ -e node_modules/gcnode ] || npm install --no-audit --no-fund --silent assemblyscript@0.27 ../../$sdk/assemblyscript || exit
		for module in greet:greet-assemblyscript probe:probe-assemblyscript robots:robots; do
			npx asc ${module%:*}.ts -o ../plugins/${module#*:}.wasm -O --runtime incremental \
				--use abort=~lib/gcnode/assembly/getter/abort || exit
		done
	)
}

# The engine is compiled once.
# shellcheck disable=SC2086
javascript() {
	mkdir -p bin/javascript && (
		cd bin/javascript || exit
		[ -e package.json ] || npm init -y >/dev/null || exit
		engine=node_modules/qjsc/deps/quickjs_2021_03_27
		[ -e $engine ] || npm install --ignore-scripts --no-audit --no-fund --silent qjsc@0.3.0 || exit
		for part in quickjs libregexp libunicode cutils; do
			[ -e $part.o ] || clang-19 --target=wasm32-wasi -Os -w -D_GNU_SOURCE -DEMSCRIPTEN -DFE_DOWNWARD=0 -DFE_UPWARD=0 \
				'-DCONFIG_VERSION="2021-03-27"' -c $engine/$part.c || exit
		done
		for script in greet-javascript:$sdk/javascript/example/greet.js:-DGCNODE_STORE probe-javascript:$probe/javascript/probe.js:-DGCNODE_STORE \
			reshape:plugins/reshape/reshape.js:; do
			rest=${script#*:}
			clang-19 $wasi -std=c23 -DGCNODE_FETCH ${rest#*:} -isystem $engine -I ../../$sdk/c --embed-dir=. "-DSCRIPT=\"../../${rest%:*}\"" -Wl,-z,stack-size=1048576 \
				-o ../plugins/${script%%:*}.wasm ../../$sdk/javascript/getter.c quickjs.o libregexp.o libunicode.o cutils.o || exit
		done
	)
}

# install runs the command of a section of the documentation.
install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive sh -c "$1 -qq" </dev/null
}

missing=
for language in C:c C++:cpp Rust:rust AssemblyScript:assemblyscript JavaScript:javascript; do
	section=${language%:*} build=${language#*:}
	if (set -e; $build) 2>bin/plugins.log; then
		echo "built for $section"
		continue
	fi
	command=$(sed -n "/^## $section\$/,/^## [^#]/s/^\\(apt-get install .*\\)/\\1/p" docs/writing-getters.md)
	if install "$command" >&2 && (set -e; $build); then
		echo "installed what it takes, and built for $section"
		continue
	fi
	cat bin/plugins.log >&2
	echo "not built for $section: it takes what this installs (as root, on Debian 12 or later): $command" >&2
	missing="$missing $section"
done
[ -z "$missing" ] || [ "${PLUGINS:-}" != required ]
