//go:build linux

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how far the median of a unit may move, as a share of what it was. Times move with the machine, so they must
// also have left the range in which they were.
var tolerance = map[string]float64{
	"ns/op": 0.10, "B/op": 0.05, "allocs/op": 0, "instructions/op": 0.02,
}

// results are the lines of Go benchmarks.
type results struct {
	cpu     string
	figures map[string]map[string][]float64 // by benchmark and unit
}

var processors = regexp.MustCompile(`-\d+$`)

func parseBenchmarks(text []byte) (results, error) {
	r := results{figures: map[string]map[string][]float64{}}
	pkg := ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = strings.TrimSpace(name)
		}
		if cpu, ok := strings.CutPrefix(line, "cpu: "); ok {
			r.cpu = strings.TrimSpace(cpu)
		}
		f := strings.Fields(line)
		if !strings.HasPrefix(line, "Benchmark") || len(f) < 4 {
			continue
		}
		name := pkg + " " + processors.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		if r.figures[name] == nil {
			r.figures[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return r, fmt.Errorf("%q: %w", line, err)
			}
			r.figures[name][f[i+1]] = append(r.figures[name][f[i+1]], v)
		}
	}
	if len(r.figures) == 0 {
		return r, fmt.Errorf("got no line of a benchmark")
	}
	return r, nil
}

// compareBenchmarks compares what both have. Times are compared on the same kind of CPU alone.
func compareBenchmarks(before, now []byte) ([]change, error) {
	a, err := parseBenchmarks(before)
	if err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	b, err := parseBenchmarks(now)
	if err != nil {
		return nil, err
	}
	var all []change
	for _, name := range slices.Sorted(maps.Keys(b.figures)) {
		for _, unit := range slices.Sorted(maps.Keys(b.figures[name])) {
			was, is := a.figures[name][unit], b.figures[name][unit]
			limit, known := tolerance[unit]
			if !known || len(was) == 0 || unit == "ns/op" && a.cpu != b.cpu {
				continue
			}
			c := change{name: name, unit: unit, before: median(was), now: median(is)}
			if unit == "ns/op" && slices.Min(is) <= slices.Max(was) && slices.Max(is) >= slices.Min(was) {
				continue
			}
			switch {
			case c.now > c.before*(1+limit):
				c.worse = true
			case c.now >= c.before*(1-limit):
				continue
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
