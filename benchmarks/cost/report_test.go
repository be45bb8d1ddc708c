//go:build linux

package cost

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/benchmarks/peers"
)

func TestReportComparesProgramsOfWeirEachWithItsKind(t *testing.T) {
	r := &Report{
		Peers: map[string]string{"weir-p2c@old": "1", "weir-p2c@new": "2", "haproxy-rr": "3"}, Bases: []string{"haproxy-rr", "@old"},
		Series: []*Series{
			{Load: "c64", Peer: "weir-p2c@old", Windows: []Window{window(20, 0, 0)}},
			{Load: "c64", Peer: "weir-p2c@new", Windows: []Window{window(15, 0, 0)}},
			{Load: "c64", Peer: "haproxy-rr", Windows: []Window{window(10, 0.3, 0)}},
		},
	}
	var b bytes.Buffer
	r.WriteText(&b)
	rows := map[string][]string{}
	for line := range strings.Lines(b.String()) {
		f := strings.Fields(line)
		if len(f) > 5 {
			rows[f[0]] = f
		}
	}
	for peer, want := range map[string][]string{
		"weir-p2c@new": {"15.00", "1.50", "0.75", "1/1"},
		"weir-p2c@old": {"20.00", "2.00", "1.00", "1/1"},
		"haproxy-rr":   {"10.00", "1.00", "-", "0/1"},
	} {
		for _, w := range want {
			if !slices.Contains(rows[peer], w) {
				t.Errorf("the row of %s lacks %s: %v", peer, w, rows[peer])
			}
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	s := []*Series{
		{Load: "a<b", title: "a<b", Peer: "weir", Windows: []Window{window(20, 0, 0), window(40, 0, 0)}},
		{Load: "a<b", title: "a<b", Peer: "other", Windows: []Window{window(200, 0, 0)}},
		{Load: "large", title: "large", Peer: "weir", Bytes: true, Windows: []Window{{Requests: 1, Bytes: 1 << 20, CPU: 1}}},
	}
	grown := []Growth{
		{Axis: "n&m", Labels: []Label{{"1", 1}, {"100", 100}}, Lines: []Line{{"weir", s[:2]}, {"other", s[:2]}}},
		{Axis: "kinds", Labels: []Label{{Text: "x"}, {Text: "y"}}, Lines: []Line{{"weir", s[:2]}}},
		{Axis: "third", Labels: []Label{{"1", 1}, {"2", 2}}, Lines: []Line{{"weir", s[:2]}}},
	}
	for name, write := range map[string]func(io.Writer){
		"peers":  (&Report{Series: s, Machine: "a & b"}).WriteSVG,
		"growth": func(w io.Writer) { WriteGrowthSVG(w, "today", grown) },
	} {
		var b bytes.Buffer
		write(&b)
		texts := 0
		for d := xml.NewDecoder(&b); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "text" {
				texts++
			}
			if e, ok := token.(xml.StartElement); ok {
				for _, a := range e.Attr {
					if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.Contains(a.Value, "%!") {
						t.Errorf("%s: %s of %s is %q", name, a.Name.Local, e.Name.Local, a.Value)
					}
				}
			}
		}
		if texts < 8 {
			t.Errorf("%s: got %d texts, want titles and values", name, texts)
		}
	}
}

func TestGrowthIsByTheFirst(t *testing.T) {
	g := Growth{Axis: "routes", Labels: []Label{{"1", 1}, {"100", 100}}, Lines: []Line{{"weir", []*Series{
		{Windows: []Window{window(10, 0, 0), window(20, 0, 0)}},
		{Windows: []Window{window(15, 0, 0), window(30, 0, 0)}},
	}}}}
	var b bytes.Buffer
	WriteGrowth(&b, "today", []Growth{g})
	if !strings.Contains(b.String(), "1.50 (1.50-1.50)") {
		t.Errorf("got\n%s", &b)
	}
}

func TestPauses(t *testing.T) {
	p, err := parsePauses(strings.NewReader("# HELP x\ngo_gc_duration_seconds{quantile=\"0.5\"} 3e-05\ngo_gc_duration_seconds{quantile=\"1\"} 0.001\n" +
		"go_gc_duration_seconds_sum 0.25\ngo_gc_duration_seconds_count 12\n"))
	if want := (Pauses{Count: 12, Seconds: 0.25, Quantiles: "0.5: 30us, 1: 1000us"}); err != nil || p != want {
		t.Errorf("got %+v, %v, want %+v", p, err, want)
	}
	if _, err := parsePauses(strings.NewReader("go_goroutines 3\n")); err == nil {
		t.Error("without the family: got no error")
	}
}

func TestCollector(t *testing.T) {
	const page = "# HELP x\nprocess_cpu_seconds_total 40\ngo_cpu_classes_gc_total_cpu_seconds_total 0.5\nprocess_cpu_seconds 7\n"
	before, err := parseCollector(strings.NewReader(page))
	if want := (Collector{GC: 0.5, CPU: 40}); err != nil || before != want {
		t.Errorf("got %+v, %v, want %+v", before, err, want)
	}
	if _, err := parseCollector(strings.NewReader("process_cpu_seconds_total 40\n")); err == nil {
		t.Error("without the collector's: got no error")
	}
	var c Collector
	if c.Share() != 0 {
		t.Errorf("of nothing %v", c.Share())
	}
	c.add(before, Collector{GC: 1, CPU: 50})
	c.add(before, Collector{GC: 1, CPU: 50})
	if c.Share() != 0.05 {
		t.Errorf("share %v of %+v, want 0.05", c.Share(), c)
	}
}

// TestTLSAndIdleClients has the harness before a Weir of its own.
func TestTLSAndIdleClients(t *testing.T) {
	program := t.TempDir() + "/weir"
	if err := peers.BuildWeir(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	e, err := StartEndpoints(1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cert, key, err := Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := peers.Start(t.Context(), "weir-p2c", peers.Setup{Program: program, Endpoints: e.Addresses, Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	m := &Meter{Warm: 20 * time.Millisecond, Length: 100 * time.Millisecond, Endpoint: e.PID()}
	weir := Entrant{Name: "weir", Target: Target{p.Address, p.Pid()}, Admin: p.Admin}
	series, err := Compare(t.Context(), m, []Entrant{weir}, SecureLoads, 1, io.Discard)
	if err != nil {
		t.Fatal(err, p.Log())
	}
	for _, s := range series {
		if w := s.Windows[0]; w.Requests == 0 || w.Failed != 0 {
			t.Errorf("%s: got %+v", s.Load, w)
		}
	}
	if _, err := ReadPauses(t.Context(), weir); err != nil {
		t.Error(err)
	}
	if c := series[0].Collector; c.CPU <= 0 || c.GC < 0 {
		t.Errorf("collector %+v", c)
	}
}

func TestIdleClientsAreAnsweredOnce(t *testing.T) {
	e, err := StartEndpoints(1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	i, err := MeasureIdle(t.Context(), Entrant{Name: "endpoint", Target: Target{e.Addresses[0], e.PID()}}, 20)
	if err != nil || i.Before == 0 || i.After == 0 || i.Clients != 20 {
		t.Errorf("got %+v, %v", i, err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if _, err := MeasureIdle(t.Context(), Entrant{Name: "gone", Target: Target{ln.Addr().String(), os.Getpid()}}, 1); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("nobody there: got %v", err)
	}
}
