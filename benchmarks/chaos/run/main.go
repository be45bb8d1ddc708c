// Command run is `make chaos`.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/benchmarks/chaos"
	"github.com/weir-lb/weir/benchmarks/peers"
)

func main() {
	chaos.Main()
	gateways := flag.String("gateways", "weir,haproxy,nginx,caddy", "which `names` to run, with commas")
	faults := flag.String("faults", "", "which `names` to run, with commas; all if empty")
	caddy := flag.String("caddy", "", "`file` of Caddy; that in PATH if empty")
	weir := flag.String("weir", "", "`file` of Weir; built if empty")
	gets := flag.Int("gets", 2000, "GETs a second")
	posts := flag.Int("posts", 500, "POSTs a second")
	out := flag.String("out", "", "`file` for the results, to which .txt and .json are added; standard output alone if empty")
	flag.Parse()
	if err := run(context.Background(), *gateways, *faults, *caddy, *weir, *gets, *posts, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, gateways, faults, caddy, weir string, gets, posts int, out string) error {
	noGround := chaos.Enter()
	if noGround != nil {
		fmt.Printf("everything is on loopback, and faults of the network are left out: %v\n", noGround)
	}
	if weir == "" {
		dir, err := os.MkdirTemp("", "weir-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		weir = filepath.Join(dir, "weir")
		if err := peers.BuildWeir(ctx, weir); err != nil {
			return err
		}
	}
	o := chaos.Options{
		Gets: gets, Posts: posts, Programs: map[string]string{"weir": weir, "caddy": caddy}, Ground: &chaos.Ground{Namespaces: noGround == nil},
		Before: time.Second, After: 1500 * time.Millisecond,
	}
	stage, err := chaos.NewStage(o)
	if err != nil {
		return err
	}
	defer stage.Close()
	var results []chaos.Result
	for i := range chaos.Faults {
		f := &chaos.Faults[i]
		if faults != "" && !slices.Contains(strings.Split(faults, ","), f.Name) {
			continue
		}
		for name := range strings.SplitSeq(gateways, ",") {
			r, err := stage.Run(ctx, f, name)
			if errors.Is(err, chaos.ErrNotHere) {
				continue
			}
			if err != nil {
				return err
			}
			results = append(results, r)
			b, _ := json.Marshal(r)
			fmt.Fprintf(os.Stderr, "%s\n", b)
		}
	}
	return write(out, results)
}

// write puts the results where they are wanted: as a table and as JSON, or just on standard output.
func write(out string, results []chaos.Result) error {
	var table bytes.Buffer
	chaos.Print(&table, results)
	_, _ = os.Stdout.Write(table.Bytes())
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(out+".txt", table.Bytes(), 0o644), os.WriteFile(out+".json", append(b, '\n'), 0o644))
}
