//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// counted are benchmarks of what a request passes through.
var counted = []struct {
	dir, name string
	n         int // operations, and twice as many
}{
	{"gateway/internal/proxy", "Check", 4000},
	{"gateway/internal/proxy", "Rewrite", 4000},
	{"gateway/internal/proxy", "Count", 200000},
	{"gateway/internal/proxy", "Log", 4000},
	{"gateway/internal/proxy", "ProxiedGet/small", 4000},
	{"gateway/internal/proxy", "ProxiedGet/browser", 4000},
	{"policies", "Pick/p2c/endpoints=256", 100000},
	{"policies", "Pick/least_request/endpoints=256", 100000},
	{"policies", "Pick/maglev/endpoints=256", 100000},
}

// countInstructions writes a line for each, in the form of Go benchmarks. What an operation executes is the difference
// between n and 2n of them, without garbage collection: start and set-up are in both.
func countInstructions(ctx context.Context, file string) error {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return fmt.Errorf("%w; apt-get install valgrind", err)
	}
	dir, err := os.MkdirTemp("", "weir-guard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var out bytes.Buffer
	pkg := ""
	for _, c := range counted {
		program := filepath.Join(dir, strings.ReplaceAll(c.dir, "/", "-"))
		if pkg != c.dir {
			pkg = c.dir
			if text, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./"+c.dir).CombinedOutput(); err != nil {
				return fmt.Errorf("go test -c ./%s: %w: %s", c.dir, err, text)
			}
			fmt.Fprintf(&out, "pkg: github.com/weir-lb/weir/%s\n", c.dir)
		}
		once, err := execute(ctx, program, c.dir, c.name, c.n)
		if err != nil {
			return err
		}
		twice, err := execute(ctx, program, c.dir, c.name, 2*c.n)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "Benchmark%s \t%d\t%.0f instructions/op\n", c.name, c.n, float64(twice-once)/float64(c.n))
	}
	fmt.Print(out.String())
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// execute returns how many instructions n operations take, and all else that the program does.
func execute(ctx context.Context, program, dir, name string, n int) (int64, error) {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	parts[0] = "^Benchmark" + parts[0][1:]
	cmd := exec.CommandContext(ctx, "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", program,
		"-test.run=^$", "-test.bench="+strings.Join(parts, "/"), fmt.Sprintf("-test.benchtime=%dx", n), "-test.cpu=1")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOGC=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s of %s: %w: %s", name, dir, err, out)
	}
	return parseCount(out, name)
}

var refs = regexp.MustCompile(`I\s+refs:\s+([0-9,]+)`)

// parseCount wants that the benchmark has run.
func parseCount(out []byte, name string) (int64, error) {
	m := refs.FindSubmatch(out)
	if m == nil || !bytes.Contains(out, []byte("Benchmark"+name)) {
		return 0, fmt.Errorf("%s: got no benchmark with that name, or no count of valgrind: %s", name, out)
	}
	return strconv.ParseInt(strings.ReplaceAll(string(m[1]), ",", ""), 10, 64)
}
