#!/bin/sh
# Builds the example policies: build.sh [-o DIR] [NAME...]
# Without names, all of them; without -o, each into its folder. toolchain.txt says what the committed ones were built with.
set -eu
cd "$(dirname "$0")"
sdk=../../wasmhost/sdk
all="bounded-hash latency-aware llm-prefix p2c peak-ewma primary-standby round-robin seat-limited sticky-drain tenant-affinity weighted-canary zone-spill"
out=

need() { # need COMMAND HOW
	command -v "$1" >/dev/null 2>&1 || { echo "build.sh: $name needs $1, which is not installed: $2" >&2; exit 1; }
}

c() { # c SOURCE WASM
	need clang "apt-get install clang lld"
	need wasm-ld "apt-get install clang lld"
	clang --target=wasm32 -O2 -fno-unroll-loops -Wall -Wextra -Werror -ffreestanding -nostdlib -mbulk-memory \
		-Wl,--no-entry -Wl,-z,stack-size=8192 -Wl,--strip-all -I "$sdk/c" "$1" -o "$2"
	chmod 644 "$2"
}

assemblyscript() { # assemblyscript FOLDER SOURCE WASM
	need npm "apt-get install nodejs npm"
	[ -x "$1/node_modules/.bin/asc" ] || npm ci --prefix "$1" --no-fund --no-audit >&2
	"$1/node_modules/.bin/asc" "$1/$2" -O3 --noAssert --runtime stub --use abort= -o "$3"
}

# The distribution's rustc comes before that of rustup, which has no wasm32 target unless it was told to.
rust() { # rust SOURCE WASM
	need wasm-ld "apt-get install lld"
	for rustc in ${RUSTC:-} /usr/bin/rustc rustc; do
		[ -d "$("$rustc" --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ] && break
		rustc=
	done
	[ "$rustc" ] || { echo "build.sh: $name needs rustc for wasm32-unknown-unknown: apt-get install rustc libstd-rust-dev-wasm32" >&2; exit 1; }
	"$rustc" --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=s -C panic=abort \
		-C linker=wasm-ld -C link-arg=-zstack-size=8192 -C link-arg=--strip-all -D warnings "$1" -o "$2"
	chmod 644 "$2"
}

golang() { # golang FOLDER WASM
	need go "https://go.dev/dl"
	GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -buildmode=c-shared -ldflags='-s -w -buildid=' -o "$2" "./$1"
	chmod 644 "$2"
}

wat() { # wat SOURCE WASM
	need wat2wasm "apt-get install wabt"
	wat2wasm "$1" -o "$2"
}

if [ "${1-}" = -o ]; then
	out=${2:?"build.sh: -o wants a folder"}
	shift 2
fi
[ $# -gt 0 ] || set -- $all
for name; do
	wasm=${out:-$name}/$name.wasm
	case $name in
	bounded-hash) c bounded-hash/src/bounded_hash.c "$wasm" ;;
	latency-aware) c latency-aware/src/latency_aware.c "$wasm" ;;
	llm-prefix) golang llm-prefix/src "$wasm" ;;
	p2c) c p2c/src/p2c.c "$wasm" ;;
	peak-ewma) c peak-ewma/src/peak_ewma.c "$wasm" ;;
	primary-standby) c primary-standby/src/primary_standby.c "$wasm" ;;
	round-robin) wat round-robin/src/round_robin.wat "$wasm" ;;
	seat-limited) c seat-limited/src/seat_limited.c "$wasm" ;;
	sticky-drain) c sticky-drain/src/sticky_drain.c "$wasm" ;;
	tenant-affinity) rust tenant-affinity/src/tenant_affinity.rs "$wasm" ;;
	weighted-canary) assemblyscript weighted-canary src/weighted_canary.ts "$wasm" ;;
	zone-spill) assemblyscript zone-spill src/zone_spill.ts "$wasm" ;;
	*) echo "build.sh: no policy $name, want one of $all" >&2; exit 2 ;;
	esac
	echo "$wasm $(wc -c <"$wasm") bytes"
done
