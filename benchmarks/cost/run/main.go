//go:build linux

// Command run compares what gateways cost. `make bench-peers` is the whole of it.
//
//	go run ./benchmarks/cost/run -weir=old,new -peers=weir-p2c,weir-wasm,haproxy-rr -loads=c64,5k/s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weir-lb/weir/benchmarks/cost"
)

var (
	weirs    = flag.String("weir", "", "programs of Weir, separated by commas, to compare with each other too; built from this module if empty")
	names    = flag.String("peers", "weir-p2c,weir-wasm,haproxy-rr,nginx-rr", "who takes part: kinds of benchmarks/peers")
	loads    = flag.String("loads", "", "names of loads, separated by commas, or none; all if empty")
	bases    = flag.String("base", "haproxy-rr,nginx-rr", "who others are compared with")
	rounds   = flag.Int("rounds", 8, "how many windows of each")
	window   = flag.Duration("window", time.Second, "length of a window")
	warm     = flag.Duration("warm", 300*time.Millisecond, "before a window counts")
	retakes  = flag.Int("retakes", 2, "of a window that other programs have disturbed")
	cpus     = flag.String("cpus", "0,1", "of the gateway, and of its clients and endpoints")
	jsonFile = flag.String("json", "", "file for every window")
	textFile = flag.String("out", "", "file for the tables")
	svgFile  = flag.String("svg", "", "file for a chart")
	profile  = flag.String("profile", "", "file for a CPU profile of the first gateway, a program of Weir, under the loads")
	secure   = flag.Bool("tls", false, "TLS too")
	growth   = flag.Bool("growth", false, "what a request costs Weir, and others of -peers, as configuration and load grow, and nothing else")
	idle     = flag.Int("idle", 0, "idle clients whose memory is measured; 0: none")
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "endpoint" {
		n, _ := strconv.Atoi(os.Args[2])
		fmt.Fprintln(os.Stderr, cost.ServeEndpoints(n))
		os.Exit(1)
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks/cost:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	gatewayCPU, ourCPU, ok := strings.Cut(*cpus, ",")
	cpu, err := strconv.Atoi(ourCPU)
	if !ok || err != nil {
		return fmt.Errorf("-cpus: got %q, want two CPUs, as in 0,1", *cpus)
	}
	chosen, err := chooseLoads(*loads)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-cost-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &field{dir: dir, cpu: gatewayCPU, peers: map[string]string{}}
	if err := f.gather(ctx, strings.Split(*names, ","), *weirs); err != nil {
		return err
	}
	if err := cost.Settle(cpu); err != nil {
		return err
	}
	number := 4
	if *growth {
		number = 1000
	}
	endpoints, err := cost.StartEndpoints(number)
	if err != nil {
		return err
	}
	defer endpoints.Close()
	defer f.stop()
	r := &cost.Report{Date: time.Now().UTC().Format(time.DateOnly), Machine: cost.Machine(), Peers: f.peers, Bases: f.bases(strings.Split(*bases, ","))}
	m := &cost.Meter{Warm: *warm, Length: *window, Retakes: *retakes, Endpoint: endpoints.PID()}
	if *growth {
		all, err := f.grow(ctx, m, endpoints.Addresses)
		if err != nil {
			return err
		}
		return writeGrowth(r.Date, all)
	}
	err = f.measure(ctx, m, r, chosen, endpoints.Addresses)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return write(r)
}

func chooseLoads(list string) ([]cost.Load, error) {
	if list == "" {
		return cost.Loads, nil
	}
	if list == "none" {
		return nil, nil
	}
	var chosen []cost.Load
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, l := range cost.Loads {
			if l.Name == name {
				chosen = append(chosen, l)
				continue next
			}
		}
		return nil, fmt.Errorf("-loads: got %q, want some of %s", name, loadNames())
	}
	return chosen, nil
}

func loadNames() string {
	all := make([]string, len(cost.Loads))
	for i, l := range cost.Loads {
		all[i] = l.Name
	}
	return strings.Join(all, ",")
}

// absolute resolves a program as the shell does.
func absolute(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
