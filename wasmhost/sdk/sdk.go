// Package sdk carries the guest side of the policy ABI: one small header a language, which a policy includes.
package sdk

import "embed"

// Files holds the headers: LANGUAGE/FILE.
//
//go:embed c/*.h assemblyscript/*.ts rust/*.rs go/*.go zig/*.zig wat/*.wat
var Files embed.FS
