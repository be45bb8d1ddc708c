package cli

import (
	"fmt"

	"github.com/weir-lb/weir/gateway"
)

type checkCmd struct {
	Config string `short:"c" required:"" type:"path" placeholder:"FILE" help:"Configuration (YAML)."`
}

// Run validates the config and loads every policy and certificate it names.
func (c checkCmd) Run(s *streams) error {
	sum, err := gateway.Check(c.Config)
	if err != nil {
		fmt.Fprintln(s.err, err)
		return errTold
	}
	for _, w := range sum.Warnings {
		fmt.Fprintln(s.err, "warning: "+w)
	}
	_, err = fmt.Fprintf(s.out, "%s: ok (%d listeners, %d routes, %d clusters, %d policies)\n",
		c.Config, sum.Listeners, sum.Routes, sum.Clusters, sum.Policies)
	return err
}
