// Package plugins carries the example policies as they are committed: each folder holds a policy's README, its source and
// NAME.wasm. build.sh makes them again.
package plugins

import (
	"embed"
)

// Files holds NAME/NAME.wasm of each example policy. It is for tests: a program that names it carries all of them.
//
//go:embed */*.wasm
var Files embed.FS

// P2C is p2c/p2c.wasm.
//
//go:embed p2c/p2c.wasm
var P2C []byte
