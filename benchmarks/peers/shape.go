package peers

import (
	"cmp"
	"fmt"
	"strings"
)

// Shape is a configuration of Weir by its size: the path /rN/ leads to cluster N, the last cluster gets all the further
// routes, and every cluster has all endpoints. There are no probes, whose number would grow with it.
type Shape struct {
	Routes, Clusters int    // at least 1, at least as many routes as clusters
	Policy           string // a built-in one, or p2c_wasm; p2c if empty
}

// Weir is a configuration for Setup.Config.
func (h Shape) Weir(s Site) string {
	var b strings.Builder
	b.WriteString(weirHead(s) + "policies: {p2c_wasm: {wasm: p2c.wasm}}\nclusters:\n")
	for i := range h.Clusters {
		fmt.Fprintf(&b, "  c%d: {policy: %s, limits: {connections: 2500, queue: 10000, queue_timeout: 10s}, endpoints: [%s]}\n", i, cmp.Or(h.Policy, "p2c"), weirEndpoints(s))
	}
	b.WriteString("routes:\n")
	for i := range h.Routes {
		fmt.Fprintf(&b, "  - {path: /r%d/, cluster: c%d}\n", i, min(i, h.Clusters-1))
	}
	return b.String()
}
