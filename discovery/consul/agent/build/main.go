// Command build makes sure that the Consul agent of the tests and of `weir demo --consul` is in the user's cache.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/weir-lb/weir/discovery/consul/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := agent.Ensure(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
