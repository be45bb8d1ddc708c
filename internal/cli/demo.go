package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/weir-lb/weir/internal/demo"
)

type demoCmd struct {
	Consul bool          `help:"Register the endpoints in a Consul agent: the one at CONSUL_HTTP_ADDR, or one started for the demo."`
	For    time.Duration `default:"10s" help:"How long to run (at least 3s)."`
}

// Run runs the demo and fails if a request did.
func (c demoCmd) Run(s *streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return demo.Run(ctx, demo.Options{Consul: c.Consul, For: c.For, Out: s.out})
}

type demoEndpointCmd struct {
	Name    string `required:""`
	Address string `default:"127.0.0.1:0"`
}

// Run serves one endpoint of the demo until standard input ends.
func (c demoEndpointCmd) Run(s *streams) error {
	return demo.ServeEndpoint(c.Name, c.Address, s.in, s.out)
}
