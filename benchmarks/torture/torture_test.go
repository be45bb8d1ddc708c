package torture

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/benchmarks/peers"
)

var (
	gateways  = flag.String("peers", "weir", "gateways to run the table against, by name, with commas between")
	output    = flag.String("out", "", "file that gets the table of verdicts")
	rounds    = flag.Int("rounds", 1, "how often a case is played; it holds if it does each time")
	only      = flag.String("only", "", "plays the cases alone whose names hold this text")
	processes = flag.Int("processes", 12, "processes of each gateway that play cases at a time")
)

// weirProgram is built for the tests.
var weirProgram string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "weir-torture-")
	if err == nil {
		weirProgram = filepath.Join(dir, "weir")
		err = peers.BuildWeir(context.Background(), weirProgram)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func program(name string) string {
	if name == "weir" {
		return weirProgram
	}
	return ""
}

// TestGatewayHoldsTheTable plays every case through Weir, and through the other gateways that -peers names, whose
// verdicts are only told.
func TestGatewayHoldsTheTable(t *testing.T) {
	verdicts := map[string]map[string]error{}
	names := strings.Split(*gateways, ",")
	for _, name := range names {
		verdicts[name] = playAll(t, name)
	}
	if weir := verdicts["weir"]; weir != nil {
		judge(t, weir)
	}
	if *output != "" {
		if err := os.WriteFile(*output, []byte(table(t, names, verdicts)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// judge fails for every case that does not hold.
func judge(t *testing.T, verdicts map[string]error) {
	for name, err := range verdicts {
		t.Run(name, func(t *testing.T) {
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// playAll plays the table through processes of one gateway, each before an endpoint of its own, the slow cases first.
func playAll(t *testing.T, name string) map[string]error {
	t.Helper()
	queue := make(chan *Case, len(Cases()))
	cases := Cases()
	for _, slow := range []bool{true, false} {
		for i := range cases {
			if cases[i].Slow == slow && strings.Contains(cases[i].Name, *only) {
				queue <- &cases[i]
			}
		}
	}
	close(queue)
	var mu sync.Mutex
	verdicts := map[string]error{}
	var players sync.WaitGroup
	for range *processes {
		e, err := NewEndpoint()
		if err != nil {
			t.Fatal(err)
		}
		p, err := peers.Start(t.Context(), name, peers.Setup{Program: program(name), Endpoints: []string{e.Address()}})
		if err != nil {
			e.Close()
			t.Fatal(err)
		}
		players.Go(func() {
			defer e.Close()
			defer p.Stop()
			for c := range queue {
				var err error
				for n := 0; n < *rounds && err == nil; n++ {
					err = Play(p.Address, e, c)
				}
				mu.Lock()
				verdicts[c.Name] = err
				mu.Unlock()
			}
		})
	}
	players.Wait()
	return verdicts
}

// TestCasesNameTheirSection holds the table to its own form.
func TestCasesNameTheirSection(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] || c.Name == "" {
			t.Errorf("the name %q stands twice or is empty", c.Name)
		}
		seen[c.Name] = true
		if rfc, section, ok := strings.Cut(c.Section, " "); !ok || rfc == "" || section == "" {
			t.Errorf("%s: section %q, want an RFC and a section of it", c.Name, c.Section)
		}
		if c.Hold == nil || (c.Send == "") == (c.Client == nil) {
			t.Errorf("%s: want Hold, and one of Send and Client", c.Name)
		}
	}
	if n := len(seen); n < 150 {
		t.Errorf("%d cases, want at least 150", n)
	}
}

// table is what the comparison prints.
func table(t *testing.T, names []string, verdicts map[string]map[string]error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Raw HTTP/1 exchanges through a gateway, benchmarks/torture, %s. Made by `make torture`: a case holds if\nit does %d times. What each gateway is told is in benchmarks/peers.\n", time.Now().UTC().Format(time.DateOnly), *rounds)
	held := map[string]int{}
	for _, n := range names {
		v, err := peers.Version(n, program(n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%-8s %s\n", n, v)
	}
	fmt.Fprintf(&b, "\n%-75s %-22s", "case", "RFC and section")
	for _, n := range names {
		fmt.Fprintf(&b, " %-8s", n)
	}
	b.WriteByte('\n')
	cases := slices.DeleteFunc(Cases(), func(c Case) bool { return !strings.Contains(c.Name, *only) })
	for _, c := range cases {
		fmt.Fprintf(&b, "%-75s %-22s", c.Name, c.Section)
		for _, n := range names {
			word := "holds"
			if verdicts[n][c.Name] != nil {
				word = "FAILS"
			} else {
				held[n]++
			}
			fmt.Fprintf(&b, " %-8s", word)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%-98s", fmt.Sprintf("held of %d", len(cases)))
	for _, n := range names {
		fmt.Fprintf(&b, " %-8d", held[n])
	}
	b.WriteString("\n\nWhy, for each that fails:\n")
	for _, n := range names {
		for _, name := range slices.Sorted(maps.Keys(verdicts[n])) {
			if err := verdicts[n][name]; err != nil {
				why, _, _ := strings.Cut(err.Error(), "\n  ")
				fmt.Fprintf(&b, "%-8s %s: %.240s\n", n, name, strings.ReplaceAll(why, "\n", "; "))
			}
		}
	}
	return b.String()
}
