//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"

	"github.com/weir-lb/weir/benchmarks/cost"
)

// write prints the tables, and keeps them, the chart and every window in files if their names are given.
func write(r *cost.Report) error { return keep(r.WriteText, r.WriteSVG, r) }

func writeGrowth(date string, all []cost.Growth) error {
	return keep(func(w io.Writer) { cost.WriteGrowth(w, date, all) }, func(w io.Writer) { cost.WriteGrowthSVG(w, date, all) }, all)
}

func keep(text, svg func(io.Writer), all any) error {
	var b bytes.Buffer
	text(&b)
	if _, err := os.Stdout.Write(b.Bytes()); err != nil {
		return err
	}
	if *textFile != "" {
		if err := os.WriteFile(*textFile, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if *svgFile != "" {
		b.Reset()
		svg(&b)
		if err := os.WriteFile(*svgFile, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if *jsonFile == "" {
		return nil
	}
	j, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(*jsonFile, append(j, '\n'), 0o644)
}
