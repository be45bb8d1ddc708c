package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/sim"
)

// texts are the forms that a text of a scenario can have, by the tag as.
var texts = map[string]form.Text{
	"name":   form.Name,
	"policy": {Want: "the name of a built-in policy, or of one under policies", OK: form.Name.OK},
	"prose":  {Want: "text, of any number of lines", OK: func(s string) bool { return s != "" }},
	"built-in": {Want: "one of " + strings.Join(policies.Names(), ", "), OK: func(s string) bool {
		return slices.Contains(policies.Names(), s)
	}},
	"times":  {Want: `times such as "2s", "exp 10ms", "normal 167ms 5ms", "pareto 1ms 1.5", "2ms + exp 2ms" or "99% 2ms, 1% exp 1s"`, OK: ok(parseTimes)},
	"keys":   {Want: `keys such as "uniform 10000" or "zipf 10000 0.9"`, OK: ok(parseKeys)},
	"metric": {Want: "one of " + strings.Join(MetricNames(), ", "), OK: func(s string) bool { _, err := metricOf(s); return err == nil }},
	"figure": {Want: "a number, a percentage or a duration, such as 2.66, 5% or 150ms", OK: ok(parseFigure)},
}

func ok[T any](parse func(string) (T, error)) func(string) bool {
	return func(s string) bool { _, err := parse(s); return err == nil }
}

// parseTimes reads a distribution: parts with percentages, which are sums.
func parseTimes(s string) (sim.Dist, error) {
	parts := strings.Split(s, ",")
	if len(parts) == 1 && !strings.Contains(s, "%") {
		return parseSum(s)
	}
	var d sim.Dist
	left := 1.0
	for i := len(parts) - 1; i >= 0; i-- {
		share, rest, found := strings.Cut(strings.TrimSpace(parts[i]), "%")
		p, err := strconv.ParseFloat(share, 64)
		if !found || err != nil || p <= 0 || p >= 100 {
			return nil, fmt.Errorf("part %q, want one such as 1%% exp 10ms", parts[i])
		}
		one, err := parseSum(rest)
		if err != nil {
			return nil, err
		}
		p /= 100
		if left -= p; d == nil {
			d = one
			continue
		}
		// Of what is in d and in one, p belongs to one.
		d = sim.Mix{P: p / (1 - left), Rare: one, Often: d}
	}
	if left < -1e-9 || left > 1e-9 {
		return nil, fmt.Errorf("shares add up to %g%%, want 100%%", (1-left)*100)
	}
	return d, nil
}

func parseSum(s string) (d sim.Dist, err error) {
	for part := range strings.SplitSeq(s, "+") {
		one, err := parseTime(strings.Fields(part))
		switch {
		case err != nil:
			return nil, err
		case d == nil:
			d = one
		default:
			d = sim.Sum{A: d, B: one}
		}
	}
	return d, nil
}

func parseTime(words []string) (sim.Dist, error) {
	kind, arguments := "fixed", words
	if len(words) > 1 {
		kind, arguments = words[0], words[1:]
	}
	wants := map[string]int{"fixed": 1, "exp": 1, "normal": 2, "pareto": 2}
	if len(arguments) != wants[kind] || len(arguments) == 0 {
		return nil, fmt.Errorf("%q, want a duration, exp MEAN, normal MEAN SIGMA or pareto MIN ALPHA", strings.Join(words, " "))
	}
	first, err := time.ParseDuration(arguments[0])
	if err != nil || first < 0 || first > 8760*time.Hour || kind != "fixed" && first == 0 {
		return nil, fmt.Errorf("duration %q, want one such as 10ms", arguments[0])
	}
	switch kind {
	case "exp":
		return sim.Exp(first), nil
	case "normal":
		sigma, err := time.ParseDuration(arguments[1])
		if err != nil || sigma < 0 {
			return nil, fmt.Errorf("sigma %q, want a duration such as 5ms", arguments[1])
		}
		return sim.Normal{Mu: first, Sigma: sigma}, nil
	case "pareto":
		alpha, err := strconv.ParseFloat(arguments[1], 64)
		if err != nil || alpha <= 1 || alpha > 100 {
			return nil, fmt.Errorf("alpha %q, want a number above 1", arguments[1])
		}
		return sim.Pareto{Min: first, Alpha: alpha}, nil
	}
	return sim.Fixed(first), nil
}

const maxKeys = 10_000_000

func parseKeys(s string) (sim.Keys, error) {
	words := strings.Fields(s)
	if len(words) < 2 {
		return nil, fmt.Errorf("keys %q, want uniform N or zipf N ALPHA", s)
	}
	n, err := strconv.Atoi(words[1])
	if err != nil || n < 1 || n > maxKeys {
		return nil, fmt.Errorf("%q keys, want 1..%d", words[1], maxKeys)
	}
	switch {
	case words[0] == "uniform" && len(words) == 2:
		return sim.Uniform(n), nil
	case words[0] == "zipf" && len(words) == 3:
		alpha, err := strconv.ParseFloat(words[2], 64)
		if err != nil || alpha <= 0 || alpha > 10 {
			return nil, fmt.Errorf("alpha %q, want a number above 0", words[2])
		}
		return sim.Zipf(n, alpha), nil
	}
	return nil, fmt.Errorf("keys %q, want uniform N or zipf N ALPHA", s)
}

// parseFigure reads what a metric comes to: seconds of a duration, the share of a percentage, or a plain number.
func parseFigure(s string) (float64, error) {
	if digits, found := strings.CutSuffix(s, "%"); found {
		x, err := strconv.ParseFloat(digits, 64)
		return x / 100, err
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		return x, nil
	}
	d, err := time.ParseDuration(s)
	return d.Seconds(), err
}
