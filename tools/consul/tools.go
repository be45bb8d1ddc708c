//go:build tools

// Package tools pins the Consul agent that tests run. It is a module of its own so that Consul's many dependencies have
// no say in the product's; discovery/consul/agent builds the binary from it.
package tools

import _ "github.com/hashicorp/consul"
