// Command table reads what `go test -json` says of tests that hold published figures, and prints the figures in one table:
//
//	WEIR_EXPERIMENTS=whole go test -json -run '^TestPublished' ./... | go run ./internal/experiments/table
//
// Its exit status is 1 if a figure is off, or anything else failed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-lb/weir/internal/experiments"
)

func main() {
	if !show(os.Stdin, os.Stdout, os.Stderr) {
		os.Exit(1)
	}
}

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test, Key, Value, Output string
	ImportPath                                string // of what does not build
	Elapsed                                   float64
}

// show prints the table of the events in r to out, and what happens meanwhile to progress. It reports whether all is well.
func show(r io.Reader, out, progress io.Writer) bool {
	var rows []experiments.Row
	said := map[string]string{}
	failed := false
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(progress, "%s", line)
			continue
		}
		key := cmp.Or(e.Package, e.ImportPath) + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			said[key] += e.Output
		case "attr":
			var row experiments.Row
			if e.Key == experiments.Attr && json.Unmarshal([]byte(e.Value), &row) == nil {
				rows = append(rows, row)
			}
		case "pass":
			if e.Test != "" {
				fmt.Fprintf(progress, "%-60s %6.1f s\n", e.Test, e.Elapsed)
			}
		case "fail", "build-fail":
			failed = true
			fmt.Fprintf(progress, "%s%-60s failed\n", said[key], strings.TrimSpace(key))
		}
	}
	slices.SortStableFunc(rows, func(a, b experiments.Row) int { return byID(a.ID, b.ID) })
	return table(out, rows) && !failed && len(rows) > 0
}

// byID orders G1 .. G5, E1 .. E12, and whatever else there is.
func byID(a, b string) int {
	place := func(id string) (kind, number int) {
		number, _ = strconv.Atoi(strings.TrimLeft(id, "EG"))
		return cmp.Or(strings.Index("GE", id[:min(len(id), 1)])+1, 3), number
	}
	kindA, a1 := place(a)
	kindB, b1 := place(b)
	return cmp.Or(cmp.Compare(kindA, kindB), cmp.Compare(a1, b1), cmp.Compare(a, b))
}

// table prints rows, and reports whether all hold.
func table(out io.Writer, rows []experiments.Row) bool {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.What))
	}
	held, last := 0, ""
	fmt.Fprintf(out, "\n%-4s %-*s %14s %12s %13s  %s\n", "", width, "what", "published", "ours", "tolerance", "verdict")
	for _, r := range rows {
		id := r.ID
		if id == last {
			id = ""
		} else if last != "" {
			fmt.Fprintln(out)
		}
		last = r.ID
		verdict := "ok"
		if r.Within() {
			held++
		} else {
			verdict = "OFF"
		}
		fmt.Fprintf(out, "%-4s %-*s %14s %12s %13s  %s\n", id, width, r.What, published(r), figure(r.Ours, r.Unit), tolerance(r), verdict)
	}
	fmt.Fprintf(out, "\n%d of %d figures within tolerance.\n", held, len(rows))
	return held == len(rows)
}

func published(r experiments.Row) string {
	return map[experiments.Kind]string{experiments.AtMost: "<= ", experiments.AtLeast: ">= "}[r.Kind] + figure(r.Published, r.Unit)
}

func tolerance(r experiments.Row) string {
	switch {
	case r.Tolerance > 0:
		return "± " + figure(r.Tolerance, r.Unit)
	case r.Kind == experiments.Near:
		return "exact"
	}
	return ""
}

// figure shows x in five digits and a unit that suits it.
func figure(x float64, unit string) string {
	if unit == "s" && x != 0 && x < 1 && x > -1 {
		x, unit = x*1000, "ms"
	}
	if unit != "" && unit != "%" {
		unit = " " + unit
	}
	return strconv.FormatFloat(x, 'g', 5, 64) + unit
}
