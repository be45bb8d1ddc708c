package chaos

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// askEvery is how often gateways are asked that do not tell by themselves.
const askEvery = 10 * time.Millisecond

// explainToken lets requests ask Weir what became of their attempts.
const explainToken = "chaos"

// listenWeir reads Weir's events.
func listenWeir(ctx context.Context, g *gateway) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.admin("/api/v1/events"), http.NoBody)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var e struct{ Kind, Endpoint, Detail string }
		if !ok || json.Unmarshal([]byte(data), &e) != nil || e.Kind != "endpoint" {
			continue
		}
		g.note(e.Endpoint, strings.Contains(e.Detail, "-> down") || strings.Contains(e.Detail, "-> draining"))
	}
}

// retriesOfWeir reads the metric.
func retriesOfWeir(g *gateway) (int, error) {
	resp, err := http.Get(g.admin("/metrics"))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if l := lines.Text(); strings.HasPrefix(l, "weir_retries_total{") && strings.Contains(l, `verdict="granted"`) {
			var n float64
			if _, err := fmt.Sscan(l[strings.LastIndexByte(l, ' ')+1:], &n); err != nil {
				return 0, fmt.Errorf("metric %q: %w", l, err)
			}
			sum += int(n)
		}
	}
	return sum, nil
}

// failedAttempts reads from Weir's explanation of a request when its attempts failed, since it came.
func failedAttempts(explanation string) []time.Duration {
	var x struct {
		Attempts []struct {
			Began   int64 `json:"began_us"`
			Took    int64 `json:"us"`
			Verdict string
		}
	}
	if json.Unmarshal([]byte(explanation), &x) != nil {
		return nil
	}
	var at []time.Duration
	for _, a := range x.Attempts {
		if a.Verdict == "granted" {
			at = append(at, time.Duration(a.Began+a.Took)*time.Microsecond)
		}
	}
	return at
}

// each calls ask until ctx ends, and tells g of every endpoint whose state is another than the time before.
func each(ctx context.Context, g *gateway, ask func() (out map[string]bool, err error)) {
	before := map[string]bool{}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if now, err := ask(); err == nil {
			for name, out := range now {
				if out != before[name] {
					g.note(name, out)
				}
			}
			before = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listenHAProxy asks for the states of servers.
func listenHAProxy(ctx context.Context, g *gateway) {
	each(ctx, g, func() (map[string]bool, error) {
		c, err := g.dialStats()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "show stat -1 4 -1\n"); err != nil {
			return nil, err
		}
		rows, err := csv.NewReader(c).ReadAll()
		if err != nil || len(rows) == 0 {
			return nil, fmt.Errorf("show stat: %d rows: %w", len(rows), err)
		}
		name, status, address := -1, -1, -1
		for i, column := range rows[0] {
			switch column {
			case "svname":
				name = i
			case "status":
				status = i
			case "addr":
				address = i
			}
		}
		if name < 0 || status < 0 {
			return nil, fmt.Errorf("show stat: columns %v, want svname and status", rows[0])
		}
		out := map[string]bool{}
		for _, r := range rows[1:] {
			who := r[name]
			if address >= 0 && r[address] != "" {
				who = g.nameOf(r[address])
			}
			out[who] = !strings.HasPrefix(r[status], "UP") && r[status] != "no check"
		}
		return out, nil
	})
}

// listenCaddy asks for the failures that Caddy remembers; three take an upstream out. What its active checks found it tells
// nobody.
func listenCaddy(ctx context.Context, g *gateway) {
	each(ctx, g, func() (map[string]bool, error) {
		resp, err := http.Get(g.admin("/reverse_proxy/upstreams"))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var all []struct {
			Address string
			Fails   int
		}
		if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
			return nil, err
		}
		out := map[string]bool{}
		for _, u := range all {
			out[g.nameOf(u.Address)] = u.Fails >= 3
		}
		return out, nil
	})
}

// retriesOfCaddy reads the access log.
func retriesOfCaddy(g *gateway) (int, error) {
	f, err := os.Open(filepath.Join(g.Dir, "access.log"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum := 0
	for lines := json.NewDecoder(f); ; {
		var line struct{ Retries int }
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return sum, nil
		case err != nil:
			return 0, fmt.Errorf("access.log: %w", err)
		}
		sum += line.Retries
	}
}
