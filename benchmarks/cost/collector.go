//go:build linux

package cost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Collector is what of a gateway's CPU time went to its garbage collector, in seconds. It is what the runtime reckons at the end of
// each collection (runtime/metrics, /cpu/classes/gc/total), from the clock on the wall: with others on the CPU it is too much.
// The work of processors that were idle is in it.
type Collector struct {
	GC  float64 `json:"gc_seconds"`
	CPU float64 `json:"cpu_seconds"`
}

// Share is that of the collector, 0..1.
func (c Collector) Share() float64 {
	if c.CPU <= 0 {
		return 0
	}
	return c.GC / c.CPU
}

func (c *Collector) add(before, after Collector) {
	c.GC += after.GC - before.GC
	c.CPU += after.CPU - before.CPU
}

// readCollector asks the admin API of a Weir. Without one there is nothing to know.
func readCollector(ctx context.Context, e Entrant) (c Collector, err error) {
	if e.Admin == "" || !strings.HasPrefix(e.Name, "weir") {
		return c, nil
	}
	err = scrape(ctx, e, func(r io.Reader) (err error) {
		c, err = parseCollector(r)
		return err
	})
	return c, err
}

func parseCollector(r io.Reader) (c Collector, err error) {
	want := map[string]*float64{"go_cpu_classes_gc_total_cpu_seconds_total": &c.GC, "process_cpu_seconds_total": &c.CPU}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := want[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
			delete(want, name)
		}
	}
	for name := range want {
		return c, fmt.Errorf("metrics: got no %s", name)
	}
	return c, nil
}

// scrape reads the metrics of a Weir.
func scrape(ctx context.Context, e Entrant, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Admin+"/metrics", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return read(response.Body)
}
