package proxy

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

const loadName = "Endpoint-Load-Metrics"

// maxLoadField bounds a report of load. What is longer says nothing.
const maxLoadField = 4 << 10

// hearLoad takes what the endpoint of the attempt in hand says of its load in the head of its response.
func (x *exchange) hearLoad(h *response.Head) {
	field := h.Value(loadName)
	if len(field) == 0 {
		return
	}
	if r, ok := readLoad(field); ok {
		x.outcome.Load = float32(min(r.Utilisation, 1))
		x.endpoint.Report(r)
	}
}

// readLoad reads a field endpoint-load-metrics (Envoy: ORCA load reports over HTTP), as TEXT, which costs no allocation,
// or as JSON. Utilisation is that of the application, else of the processors. The binary form, and what cannot be read, are
// no report; a part that cannot be read is passed over.
func readLoad(field []byte) (policies.LoadReport, bool) {
	form, rest, _ := bytes.Cut(grammar.Trim(field), []byte{' '})
	switch {
	case len(field) > maxLoadField:
	case grammar.EqualFold(form, "text"):
		return readLoadText(rest)
	case grammar.EqualFold(form, "json"):
		return readLoadJSON(rest)
	}
	return policies.LoadReport{}, false
}

func readLoadText(list []byte) (policies.LoadReport, bool) {
	var m loadMetrics
	for len(list) > 0 {
		var pair []byte
		pair, list, _ = bytes.Cut(list, []byte{','})
		key, value, _ := bytes.Cut(pair, []byte{'='})
		into := m.named(grammar.Trim(key))
		if into == nil {
			continue
		}
		if f, ok := decimal(grammar.Trim(value)); ok {
			*into = f
		}
	}
	return m.report()
}

func readLoadJSON(text []byte) (policies.LoadReport, bool) {
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return policies.LoadReport{}, false
	}
	var m loadMetrics
	for key, value := range all {
		if into := m.named([]byte(key)); into != nil {
			if f, ok := decimal(value); ok {
				*into = f
			}
		}
	}
	return m.report()
}

// loadMetrics are those of the report's metrics that count here.
type loadMetrics struct{ application, processors, qps, eps float64 }

// named returns where a metric goes, or nil. In JSON names may be those of protobuf's mapping.
func (m *loadMetrics) named(key []byte) *float64 {
	switch string(key) {
	case "application_utilization", "applicationUtilization":
		return &m.application
	case "cpu_utilization", "cpuUtilization":
		return &m.processors
	case "rps_fractional", "rpsFractional", "rps":
		return &m.qps
	case "eps":
		return &m.eps
	}
	return nil
}

func (m *loadMetrics) report() (policies.LoadReport, bool) {
	r := policies.LoadReport{Utilisation: m.application, QPS: m.qps, EPS: m.eps}
	if r.Utilisation == 0 {
		r.Utilisation = m.processors
	}
	return r, r.Utilisation > 0
}

const (
	maxDigits  = 18  // a uint64 holds them
	maxMetric  = 1e9 // nothing that is meant is beyond
	maxDecimal = 32  // bytes
)

// decimal reads a number that is not negative: digits, perhaps a fraction, perhaps an exponent.
func decimal(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > maxDecimal {
		return 0, false
	}
	var n uint64
	digits, scale, fraction, i := 0, 0, false, 0
	for ; i < len(b) && b[i]|0x20 != 'e'; i++ {
		switch c := b[i]; {
		case c == '.' && !fraction:
			fraction = true
		case c >= '0' && c <= '9':
			if digits++; digits > maxDigits {
				if !fraction {
					return 0, false
				}
				continue // beyond what a float64 can tell apart
			}
			n = n*10 + uint64(c-'0')
			if fraction {
				scale--
			}
		default:
			return 0, false
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(b) {
		e, ok := exponent(b[i+1:])
		if !ok {
			return 0, false
		}
		scale += e
	}
	f := float64(n) * math.Pow10(scale)
	return f, f <= maxMetric
}

func exponent(b []byte) (int, bool) {
	sign := 1
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 2 {
		return 0, false
	}
	e := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		e = e*10 + int(c-'0')
	}
	return sign * e, true
}
