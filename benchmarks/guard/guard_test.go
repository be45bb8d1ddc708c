//go:build linux

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/benchmarks/cost"
)

func benchmarks(cpu string, lines ...string) []byte {
	return []byte("goos: linux\npkg: example.com/p\ncpu: " + cpu + "\n" + strings.Join(lines, "\n") + "\nPASS\n")
}

func TestBenchmarksAreCompared(t *testing.T) {
	old := benchmarks("A", "BenchmarkX-2 \t1\t100 ns/op\t32 B/op\t0 allocs/op", "BenchmarkX-2 \t1\t104 ns/op\t32 B/op\t0 allocs/op", "BenchmarkGone \t1\t1 ns/op")
	for _, c := range []struct {
		name string
		now  []byte
		want []string // unit, and WORSE or better
	}{
		{"the same is no change", old, nil},
		{"a time beyond the range and the tolerance is worse, whatever the number of processors", benchmarks("A", "BenchmarkX-8 1 120 ns/op", "BenchmarkX-8 1 130 ns/op"), []string{"ns/op WORSE"}},
		{"a time within the range is not", benchmarks("A", "BenchmarkX-2 1 103 ns/op", "BenchmarkX-2 1 200 ns/op"), nil},
		{"a time beyond the range but within the tolerance is not", benchmarks("A", "BenchmarkX-2 1 106 ns/op"), nil},
		{"a time is better too", benchmarks("A", "BenchmarkX-2 1 50 ns/op"), []string{"ns/op better"}},
		{"times of another CPU are not compared", benchmarks("B", "BenchmarkX-2 1 900 ns/op"), nil},
		{"one allocation is worse on any CPU", benchmarks("B", "BenchmarkX-2 1 1 ns/op 32 B/op 1 allocs/op"), []string{"allocs/op WORSE"}},
		{"new benchmarks and units are not compared", benchmarks("A", "BenchmarkNew-2 1 900 ns/op", "BenchmarkX-2 1 5 widgets"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, err := compareBenchmarks(old, c.now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ch := range changes {
				word, _, _ := strings.Cut(ch.String(), " ")
				got = append(got, ch.unit+" "+word)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if _, err := compareBenchmarks(old, []byte("PASS\n")); err == nil {
		t.Error("without benchmarks: got no error")
	}
}

func report(t *testing.T, weir, other int) []byte {
	r := cost.Report{Bases: []string{"haproxy-rr"}}
	for peer, us := range map[string]int{"weir-p2c": weir, "haproxy-rr": other} {
		s := &cost.Series{Load: "c64", Peer: peer}
		for i := range 3 { // the ratio of a round differs by a hundredth or so
			s.Windows = append(s.Windows, cost.Window{Requests: 1000, CPU: time.Duration(us*100+i*len(peer)) * time.Microsecond, Elapsed: time.Second})
		}
		r.Series = append(r.Series, s)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReportsAreComparedByRatio(t *testing.T) {
	old := report(t, 110, 100)
	for _, c := range []struct {
		name        string
		weir, other int
		want        string
	}{
		{"a machine of half the speed changes nothing", 220, 200, ""},
		{"a little is noise", 113, 100, ""},
		{"a tenth more is worse", 121, 100, "WORSE"},
		{"a tenth less is better", 99, 100, "better"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, err := compareReports(old, report(t, c.weir, c.other))
			if err != nil {
				t.Fatal(err)
			}
			if len(changes) > 1 || (len(changes) == 1) != (c.want != "") || len(changes) == 1 && !strings.HasPrefix(changes[0].String(), c.want) {
				t.Errorf("got %v, want %q", changes, c.want)
			}
		})
	}
	if _, err := compareReports([]byte("{"), old); err == nil {
		t.Error("a broken file: got no error")
	}
}

func TestInstructionsAreRead(t *testing.T) {
	out := []byte("BenchmarkCheck \t 2000\t 18507 ns/op\nPASS\n==1== \n==1== I   refs:      24,130,354\n")
	if n, err := parseCount(out, "Check"); err != nil || n != 24130354 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := parseCount(out, "Other"); err == nil {
		t.Error("a benchmark that has not run: got no error")
	}
}

func TestFilesOfOtherKindsAreRefused(t *testing.T) {
	if _, err := compare(".csv", nil, nil); err == nil {
		t.Error("got no error")
	}
	if _, err := run(t.Context(), false, nil); err == nil {
		t.Error("no file: got no error")
	}
}
