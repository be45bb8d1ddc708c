//go:build tools

// Package tools pins the programs that tests of HTTP/2 run against the gateway. It is a module of its own so that what they
// need has no say in the product's; benchmarks/clients builds them from it.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
