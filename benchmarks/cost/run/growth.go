//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/weir-lb/weir/benchmarks/cost"
	"github.com/weir-lb/weir/benchmarks/peers"
)

// shapes are axes along which the configuration of Weir grows.
var shapes = []struct {
	axis   string
	sizes  []int
	shape  func(n int) peers.Shape
	points func(n int) int // how many endpoints
}{
	{"routes", []int{1, 100, 10000}, func(n int) peers.Shape { return peers.Shape{Routes: n, Clusters: 1} }, func(int) int { return 4 }},
	{"endpoints", []int{3, 64, 1000}, func(int) peers.Shape { return peers.Shape{Routes: 1, Clusters: 1} }, func(n int) int { return n }},
	{"clusters", []int{1, 100, 1000}, func(n int) peers.Shape { return peers.Shape{Routes: n, Clusters: n} }, func(int) int { return 4 }},
}

// policies are those of which a cluster chooses one, but for those that need a key.
var policies = []string{"p2c", "p2c_wasm", "first", "least_request", "peak_ewma", "prequal", "random", "round_robin", "weighted_round_robin"}

// axes are those along which the load grows.
var axes = []struct {
	name  string
	loads []cost.Load
}{
	{"fields of a request", []cost.Load{fields(1, 20), fields(16, 20), fields(64, 20)}},
	{"bytes of one field", []cost.Load{fields(1, 64), fields(1, 1024), fields(1, 4096)}},
	{"bytes of a response", []cost.Load{body(1 << 10), body(16 << 10), body(256 << 10), body(1 << 20)}},
	{"connections, saturated", []cost.Load{connections(64, 0), connections(512, 0), connections(2048, 0), connections(4096, 0)}},
	{"connections at 20k/s", []cost.Load{connections(64, 20000), connections(512, 20000), connections(4096, 20000), connections(10000, 20000)}},
}

func fields(n, size int) cost.Load {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-Field-%d: %s\r\n", i, strings.Repeat("v", size))
	}
	name := fmt.Sprint(n)
	if n == 1 && size != 20 {
		name = fmt.Sprint(size)
	}
	return cost.Load{Name: name, Connections: 64, Fields: b.String(), Path: "/r0/"}
}

func body(n int) cost.Load {
	return cost.Load{Name: fmt.Sprint(n), Connections: 64, Body: n, Path: "/r0/"}
}

func connections(n, rate int) cost.Load {
	return cost.Load{Name: fmt.Sprint(n), Connections: n, Rate: rate, Turns: true, Path: "/r0/"}
}

// grow measures all axes. endpoints has as many as the longest axis wants.
func (f *field) grow(ctx context.Context, m *cost.Meter, endpoints []string) (all []cost.Growth, err error) {
	weir := f.runners[0]
	for _, s := range shapes {
		var among []variant
		for _, n := range s.sizes {
			among = append(among, variant{fmt.Sprint(n), peers.Setup{Endpoints: endpoints[:s.points(n)], Config: s.shape(n).Weir}, fmt.Sprintf("/r%d/", s.shape(n).Routes-1)})
		}
		g, err := f.growShape(ctx, m, s.axis, weir, among)
		if err != nil {
			return all, err
		}
		all = append(all, g)
	}
	var among []variant
	for _, p := range policies {
		among = append(among, variant{p, peers.Setup{Endpoints: endpoints[:4], Config: peers.Shape{Routes: 1, Clusters: 1, Policy: p}.Weir}, "/r0/"})
	}
	g, err := f.growShape(ctx, m, "policies", weir, among)
	if err != nil {
		return all, err
	}
	all = append(all, g)
	for _, a := range axes {
		g, err := f.growLoad(ctx, m, a.name, a.loads, endpoints[:4])
		if err != nil {
			return all, err
		}
		all = append(all, g)
	}
	return all, nil
}

// variant is a configuration of Weir, and the path that is asked for.
type variant struct {
	name  string
	setup peers.Setup
	path  string
}

// growShape runs a Weir for each variant, side by side.
func (f *field) growShape(ctx context.Context, m *cost.Meter, axis string, weir runner, among []variant) (cost.Growth, error) {
	defer f.stop()
	g := cost.Growth{Axis: axis, Lines: []cost.Line{{Peer: weir.name}}}
	var entrants []cost.Entrant
	for _, v := range among {
		e, err := f.start(ctx, v.setup, []runner{{axis + " " + v.name, weir.kind, weir.program}})
		if err != nil {
			return g, err
		}
		e[0].Path = v.path
		entrants = append(entrants, e...)
		g.Labels = append(g.Labels, label(v.name))
	}
	series, err := cost.Compare(ctx, m, entrants, []cost.Load{{Name: "c64", Connections: 64}}, *rounds, os.Stderr)
	g.Lines[0].Series = series
	return g, f.explain(err)
}

// growLoad has every gateway under every load.
func (f *field) growLoad(ctx context.Context, m *cost.Meter, axis string, loads []cost.Load, endpoints []string) (cost.Growth, error) {
	defer f.stop()
	g := cost.Growth{Axis: axis}
	entrants := make([]cost.Entrant, 0, len(f.runners))
	for _, r := range f.runners {
		setup := peers.Setup{Endpoints: endpoints}
		if strings.HasPrefix(r.kind, "weir") {
			setup.Config = peers.Shape{Routes: 1, Clusters: 1}.Weir
		}
		e, err := f.start(ctx, setup, []runner{r})
		if err != nil {
			return g, err
		}
		entrants = append(entrants, e...)
		g.Lines = append(g.Lines, cost.Line{Peer: r.name})
	}
	fmt.Fprintln(os.Stderr, axis)
	series, err := cost.Compare(ctx, m, entrants, loads, *rounds, os.Stderr)
	for i, s := range series {
		line := &g.Lines[i%len(entrants)]
		line.Series = append(line.Series, s)
	}
	for _, l := range loads {
		g.Labels = append(g.Labels, label(l.Name))
	}
	return g, f.explain(err)
}

// label is a number if the name is one.
func label(name string) cost.Label {
	l := cost.Label{Text: name}
	_, _ = fmt.Sscan(name, &l.X)
	return l
}
