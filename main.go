// Command weir is an edge HTTP load balancer whose decisions are WebAssembly functions.
package main

import (
	"os"

	"github.com/weir-lb/weir/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
