//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weir-lb/weir/benchmarks/cost"
)

// slack is how far the median ratio of Weir to another gateway may move.
const slack = 0.05

// compareReports compares the ratios of Weir's cost to that of each gateway that both reports are based on. A ratio has
// changed if its median has moved by more than the slack, and out of the range in which it was.
func compareReports(before, now []byte) ([]change, error) {
	var a, b cost.Report
	if err := json.Unmarshal(before, &a); err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	if err := json.Unmarshal(now, &b); err != nil {
		return nil, err
	}
	var all []change
	for _, s := range b.Series {
		if !strings.HasPrefix(s.Peer, "weir") {
			continue
		}
		for _, base := range b.Bases {
			is, was := ratio(&b, s.Load, s.Peer, base), ratio(&a, s.Load, s.Peer, base)
			if is.N == 0 || was.N == 0 {
				continue
			}
			c := change{name: s.Load + ": " + s.Peer, unit: "times " + base, before: was.Median, now: is.Median}
			switch {
			case is.Median > was.Median*(1+slack) && is.Median > was.Max:
				c.worse = true
			case is.Median < was.Median*(1-slack) && is.Median < was.Min:
			default:
				continue
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func ratio(r *cost.Report, load, peer, base string) cost.Spread {
	s, b := r.Find(load, peer), r.Find(load, base)
	if s == nil || b == nil {
		return cost.Spread{}
	}
	return s.Ratio(b)
}
