//go:build linux

// Command guard compares results with those of the last commit, and fails if they are worse than noise explains.
//
//	guard benchmarks/results/bench.txt benchmarks/results/peers.json
//	guard -instructions benchmarks/results/instructions.txt benchmarks/results/bench.txt
//
// A .txt file has lines of Go benchmarks, a .json file is a report of benchmarks/cost. With -instructions the first file is
// written before: what some benchmarks execute, counted by valgrind, a figure that noise does not move.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	count := flag.Bool("instructions", false, "count instructions into the first file before (apt-get install valgrind)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	worse, err := run(ctx, *count, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(2)
	}
	if worse > 0 {
		fmt.Printf("%d figures are worse than those of the last commit\n", worse)
		os.Exit(1)
	}
}

func run(ctx context.Context, count bool, files []string) (worse int, err error) {
	if len(files) == 0 {
		return 0, fmt.Errorf("got no file, want results to compare")
	}
	if count {
		if err := countInstructions(ctx, files[0]); err != nil {
			return 0, err
		}
	}
	for _, f := range files {
		now, err := os.ReadFile(f)
		if err != nil {
			return worse, err
		}
		before, err := committed(ctx, f)
		if err != nil {
			fmt.Printf("%s: nothing to compare with: %v\n", f, err)
			continue
		}
		changes, err := compare(filepath.Ext(f), before, now)
		if err != nil {
			return worse, fmt.Errorf("%s: %w", f, err)
		}
		for _, c := range changes {
			fmt.Println(c)
			if c.worse {
				worse++
			}
		}
		fmt.Printf("%s: %d of its figures have changed by more than noise explains\n", f, len(changes))
	}
	return worse, nil
}

func compare(kind string, before, now []byte) ([]change, error) {
	switch kind {
	case ".txt":
		return compareBenchmarks(before, now)
	case ".json":
		return compareReports(before, now)
	}
	return nil, fmt.Errorf("got a file that ends in %q, want .txt or .json", kind)
}

// committed is the file in the last commit.
func committed(ctx context.Context, file string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", "show", "HEAD:./"+filepath.Base(file))
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return nil, fmt.Errorf("git show: %s", strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// change is a figure that is not what it was.
type change struct {
	name, unit  string
	before, now float64
	worse       bool
}

func (c change) String() string {
	word := "better"
	if c.worse {
		word = "WORSE"
	}
	return fmt.Sprintf("%-6s %-60s %12.5g -> %-12.5g %s", word, c.name, c.before, c.now, c.unit)
}
