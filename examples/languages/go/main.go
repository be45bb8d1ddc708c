//go:build wasip1

// Command p2c is the power of two choices by weight: draw two endpoints of the first usable tier, take the one with the
// lesser (requests in flight + 1) / weight. The same policy as examples/plugins/p2c, in Go.
package main

import lb "github.com/weir-lb/weir/wasmhost/sdk/go"

var (
	table    *lb.Table
	heaviest uint32
)

//go:wasmexport lb_abi_v1
func abi(_ uint64) uint64 { return lb.Replicable | lb.Want(lb.Inflight) }

//go:wasmexport lb_alloc
func alloc(what int32, n uint32) uint32 { return lb.Alloc(what, n) }

//go:wasmexport lb_init
func start(config, n uint32) int32 {
	s := lb.NewSettings(config, n)
	if _, ok := s.Next(); ok || s.Failed() {
		return -1
	}
	return 0
}

//go:wasmexport lb_endpoints
func endpoints(t *lb.Table) int32 {
	table, heaviest = t, t.Heaviest()
	return 0
}

// loadBelow tells whether a has less load for its weight than b.
func loadBelow(a, b int32) bool {
	inflight := table.Column(lb.Inflight)
	return (uint64(inflight[a])+1)*uint64(table.Endpoint(uint32(b)).Weight) < (uint64(inflight[b])+1)*uint64(table.Endpoint(uint32(a)).Weight)
}

//go:wasmexport lb_pick
func pick(r *lb.Request) int32 {
	candidates := table.Candidates(r)
	seed := r.Rnd
	a := table.Draw(r, candidates, heaviest, -1, &seed)
	if a < 0 {
		return lb.Defer
	}
	b := table.Draw(r, candidates, heaviest, a, &seed)
	if b >= 0 && loadBelow(b, a) {
		return b
	}
	return a
}

func main() {}
