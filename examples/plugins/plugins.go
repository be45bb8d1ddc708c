// Package plugins carries the example policies as they are committed: each folder holds a policy's README, its source and
// NAME.wasm. build.sh makes them again.
package plugins

import "embed"

// Files holds NAME/NAME.wasm of each example policy.
//
//go:embed */*.wasm
var Files embed.FS
