//go:build linux

package cost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Pauses are those for which a garbage collector stopped the world.
type Pauses struct {
	Peer      string  `json:"peer"`
	Count     int64   `json:"count"`
	Seconds   float64 `json:"seconds"`   // in all
	Quantiles string  `json:"quantiles"` // of the last 256, "0.5: 31us" and so on
}

// ReadPauses asks the admin API of a Weir.
func ReadPauses(ctx context.Context, e Entrant) (Pauses, error) {
	var p Pauses
	err := scrape(ctx, e, func(r io.Reader) (err error) {
		p, err = parsePauses(r)
		return err
	})
	p.Peer = e.Name
	return p, err
}

// parsePauses reads the summary go_gc_duration_seconds of Prometheus's collector for Go.
func parsePauses(r io.Reader) (p Pauses, err error) {
	const name = "go_gc_duration_seconds"
	found := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok {
			continue
		}
		label, value, _ := strings.Cut(rest, " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return p, fmt.Errorf("%s%s: %w", name, label, err)
		}
		quantile, isQuantile := strings.CutPrefix(label, `{quantile="`)
		switch {
		case label == "_sum":
			p.Seconds = v
		case label == "_count":
			p.Count, found = int64(v), true
		case isQuantile:
			if p.Quantiles != "" {
				p.Quantiles += ", "
			}
			p.Quantiles += fmt.Sprintf("%s: %.0fus", strings.TrimSuffix(quantile, `"}`), 1e6*v)
		}
	}
	if !found {
		return p, fmt.Errorf("metrics: got no %s_count", name)
	}
	return p, nil
}
