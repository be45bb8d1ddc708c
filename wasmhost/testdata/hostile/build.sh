#!/bin/sh
# Builds the modules of this folder out of their sources, with wat2wasm of wabt.
set -e
cd "$(dirname "$0")"
for source in *.wat; do
	wat2wasm "$source" -o "${source%.wat}.wasm"
done
