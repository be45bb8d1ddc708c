package proxy

import (
	"math"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

func TestReadLoad(t *testing.T) {
	for field, want := range map[string]policies.LoadReport{
		"TEXT cpu_utilization=0.3": {Utilisation: 0.3},
		"TEXT cpu_utilization=0.3, application_utilization=0.5,rps_fractional=10,eps=1":            {Utilisation: 0.5, QPS: 10, EPS: 1},
		"text application_utilization=0,cpu_utilization = 1.7 ,rps=2.5e+2":                         {Utilisation: 1.7, QPS: 250},
		"TEXT named_metrics.x=1,mem_utilization=0.9,cpu_utilization=3e-05":                         {Utilisation: 3e-5},
		"TEXT cpu_utilization=-1,,=,cpu_utilization,eps=1e999,rps=NaN,cpu_utilization=.5":          {Utilisation: 0.5},
		`JSON {"cpu_utilization": 0.3, "rps_fractional": 10, "eps": 1, "named_metrics": {"x": 1}}`: {Utilisation: 0.3, QPS: 10, EPS: 1},
		`JSON {"applicationUtilization": 0.6, "cpuUtilization": "x", "rpsFractional": null}`:       {Utilisation: 0.6},
		"TEXT cpu_utilization=0.12345678901234567890":                                              {Utilisation: 0.123456789012345678},
	} {
		got, ok := readLoad([]byte(field))
		if !ok || math.Abs(got.Utilisation-want.Utilisation) > 1e-12 || got.QPS != want.QPS || got.EPS != want.EPS {
			t.Errorf("%s: got %+v %v, want %+v", field, got, ok, want)
		}
	}
	for _, field := range []string{
		"TEXT", "TEXT ", "cpu_utilization=0.3", "BIN CAESDA==", "TEXT mem_utilization=0.3", "TEXT cpu_utilization=0", "TEXT cpu_utilization=-0.3",
		"TEXT cpu_utilization=0x1", "TEXT cpu_utilization=1_0", "TEXT cpu_utilization=1..2", "TEXT cpu_utilization=e5", "TEXT cpu_utilization=1e",
		"TEXT cpu_utilization=1e+", "TEXT cpu_utilization=1e100", "TEXT cpu_utilization=Inf", "TEXT cpu_utilization=9999999999999999999", "JSON", "JSON [1]",
		"JSON null", "JSON {", `JSON {"cpu_utilization": {"cpu_utilization": 1}}`, "TEXT cpu_utilization=0.5," + strings.Repeat("a", maxLoadField),
	} {
		if got, ok := readLoad([]byte(field)); ok {
			t.Errorf("%.60q: got %+v, want no report", field, got)
		}
	}
	text := []byte("TEXT cpu_utilization=0.3, application_utilization=0.55, rps=100.5, eps=junk, named_metrics.queue=7")
	if n := testing.AllocsPerRun(100, func() { readLoad(text) }); n != 0 {
		t.Errorf("%v allocations for a report in text, want 0", n)
	}
}

func FuzzReadLoad(f *testing.F) {
	f.Add("TEXT cpu_utilization=0.3,rps=1e3")
	f.Add(`JSON {"cpu_utilization": 0.3}`)
	f.Fuzz(func(t *testing.T, field string) {
		r, ok := readLoad([]byte(field))
		for _, x := range []float64{r.Utilisation, r.QPS, r.EPS} {
			if ok && !(x >= 0 && x <= maxMetric) {
				t.Errorf("%q: %+v", field, r)
			}
		}
	})
}

func TestEndpointsReportTheirLoad(t *testing.T) {
	report := gatewaytest.Respond(200, "ok", "Endpoint-Load-Metrics: TEXT application_utilization=0.25, rps=40, eps=2", "X-A: b")
	t.Run("it_reaches_the_policy_and_the_status_but_not_the_client", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, report))
		r := g.dial().Get("/")
		if r.Header.Get("Endpoint-Load-Metrics") != "" || r.Header.Get("X-A") != "b" {
			t.Errorf("the client got %v", r.Header)
		}
		g.settled()
		if got := g.cluster.Load().Endpoints[0].State.Load(policies.ColLoadPPM); got != 250_000 {
			t.Errorf("load %d ppm, want 250000", got)
		}
		if l := g.cluster.Status().Endpoints[0].Load; l == nil || l.Utilisation != 0.25 || l.QPS != 40 || l.EPS != 2 {
			t.Errorf("status %+v", l)
		}
	})
	t.Run("it_may_pass", func(t *testing.T) {
		g := start(t, options{route: Route{PassLoad: true}}, gatewaytest.NewEndpoint(t, report))
		if r := g.dial().Get("/"); r.Header.Get("Endpoint-Load-Metrics") == "" {
			t.Error("the client did not get it")
		}
	})
	t.Run("junk_harms_nobody", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "ok", "Endpoint-Load-Metrics: JSON {{", "Endpoint-Load-Metrics: TEXT ,,=")))
		if r := g.dial().Get("/"); r.StatusCode != 200 || len(r.Header["Endpoint-Load-Metrics"]) != 0 {
			t.Errorf("status %d, fields %v", r.StatusCode, r.Header)
		}
		g.settled()
		if got := g.cluster.Load().Endpoints[0].State.Load(policies.ColLoadPPM); got != policies.Unknown {
			t.Errorf("load %d ppm, want none", got)
		}
	})
}
