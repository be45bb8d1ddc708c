package scenario

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/weir-lb/weir/policies/sim"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// colours tell policies apart, on white and on black.
var colours = []string{"#2f7ed8", "#e4572e", "#2a9d5c", "#a05eb5", "#d99a00", "#14a3a8", "#c2417c", "#7a7a7a"}

// The parts of the page.
type (
	pageData struct {
		*Report
		Cases    []pageCase
		Expected int
		Met      int
	}
	pageCase struct {
		Name                   string
		Rows                   []pageRow
		CDF, P99, Failed, Busy template.HTML
		BusyTitle              string
		Heats                  []pageHeat
		Most                   string
		Verdicts               []pageVerdict
	}
	pageRow struct {
		Policy, Colour                            string
		Mean, P50, P90, P99, P999, Failed, Spread string
		Retries, Hedges                           int
		MaxOverMean, Amplification                string
		Faults                                    []string
	}
	pageHeat struct {
		Policy, Colour string
		Picture        template.URL
	}
	pageVerdict struct {
		Policy, Metric, Want, Got, Source string
		OK                                bool
	}
)

// HTML writes r as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	d := pageData{Report: r}
	for _, one := range r.Runs {
		if n := len(d.Cases); n == 0 || d.Cases[n-1].Name != one.Case {
			d.Cases = append(d.Cases, r.pageCase(one.Case))
		}
		for _, v := range one.Verdicts {
			if d.Expected++; v.OK {
				d.Met++
			}
		}
	}
	return page.Execute(w, d)
}

func (r *Report) pageCase(name string) pageCase {
	c := pageCase{Name: name, BusyTitle: "Utilisation by endpoint"}
	var cdf, p99, failed, busy []curve
	most, anyFailed := 0, false
	for _, one := range r.Runs {
		if one.Case != name {
			continue
		}
		for _, s := range one.Result.Series {
			for _, load := range s.Load {
				most = max(most, load)
			}
		}
	}
	c.Most = fmt.Sprint(most)
	for _, one := range r.Runs {
		if one.Case != name {
			continue
		}
		colour := colours[len(c.Rows)%len(colours)]
		c.Rows = append(c.Rows, rowOf(one, colour))
		line := func() curve { return curve{name: one.Policy, colour: colour} }
		l, p, f, b := line(), line(), line(), line()
		for _, nines := range steps(0.005, 5, 200) { // the fastest hundredth would take half of the picture
			q := 1 - math.Pow(10, -nines)
			if n := float64(len(one.Result.Latencies)); n == 0 || n*(1-q) < 1 {
				break
			}
			l.x, l.y = append(l.x, one.Result.Quantile(q).Seconds()), append(l.y, nines)
		}
		for _, s := range one.Result.Series {
			p.x, f.x = append(p.x, s.From.Seconds()), append(f.x, s.From.Seconds())
			tail, lost := math.NaN(), math.NaN()
			if len(s.Latencies) > 0 {
				tail = sim.Quantile(s.Latencies, 0.99).Seconds()
			}
			if s.Requests > 0 {
				lost = float64(s.Failed) / float64(s.Requests)
			}
			p.y, f.y = append(p.y, tail), append(f.y, lost)
			anyFailed = anyFailed || s.Failed > 0
		}
		if b.x, b.y = useOf(one.Result); one.Result.Servers[0].Utilisation == 0 {
			c.BusyTitle = "Requests by endpoint, over the mean"
		}
		cdf, p99, failed, busy = append(cdf, l), append(p99, p), append(failed, f), append(busy, b)
		c.Heats = append(c.Heats, pageHeat{one.Policy, colour, heat(loads(one.Result), float64(most))})
		for _, v := range one.Verdicts {
			c.Verdicts = append(c.Verdicts, pageVerdict{one.Policy, v.What(), v.Wanted(), v.Had(), v.Source, v.OK})
		}
	}
	clock := axis{label: "time", min: 0, max: 0, text: clockText}
	log := axis{min: math.Inf(1), max: 0, log: true, text: Duration}
	latency := log
	latency.label = "latency"
	nines := axis{min: 0, max: 3, ticks: []float64{0, 0.30103, 1, 2, 3, 4, 5}, text: func(x float64) string {
		return fmt.Sprintf("%.5g%%", 100-100*math.Pow(10, -x))
	}}
	c.CDF = plot(latency, nines.upTo(cdf), cdf)
	c.P99 = plot(clock, log, p99)
	if anyFailed {
		c.Failed = plot(clock, axis{text: func(x float64) string { return fmt.Sprintf("%.3g%%", x*100) }}, failed)
	}
	c.Busy = plot(axis{label: "endpoint", whole: true, text: func(x float64) string { return fmt.Sprintf("%.0f", x) }},
		axis{text: func(x float64) string { return fmt.Sprintf("%.3g", x) }}, busy)
	return c
}

func clockText(x float64) string {
	text := time.Duration(x * 1e9).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}

// upTo returns a without the ticks that no curve reaches.
func (a axis) upTo(curves []curve) axis {
	for _, c := range curves {
		a.fit(c.y)
	}
	for i, t := range a.ticks {
		if t > a.max {
			a.ticks = a.ticks[:i]
			break
		}
	}
	return a
}

func steps(from, to float64, n int) (all []float64) {
	for i := range n + 1 {
		all = append(all, from+(to-from)*float64(i)/float64(n))
	}
	return all
}

func rowOf(one *Run, colour string) pageRow {
	r := one.Result
	q := func(x float64) string { return Duration(r.Quantile(x).Seconds()) }
	row := pageRow{
		Policy: one.Policy, Colour: colour, Mean: Duration(r.Mean().Seconds()), P50: q(0.5), P90: q(0.9), P99: q(0.99), P999: q(0.999),
		Failed: fmt.Sprintf("%.4g%%", 100-100*r.Availability()), Retries: r.Retries, Hedges: r.Hedges, Spread: "-",
		MaxOverMean: fmt.Sprintf("%.3f", MaxOverMean(r)), Amplification: fmt.Sprintf("%.3f", r.Amplification()),
	}
	if least, most := Utilisation(r); most > 0 {
		row.Spread = fmt.Sprintf("%.0f–%.0f%%", least*100, most*100)
	}
	if one.Guest != nil {
		row.Faults = one.Guest.Faults()
	}
	return row
}

// useOf is how busy each endpoint was, or, where there is no end to what one can do, how many requests it had.
func useOf(r *sim.Result) (x, y []float64) {
	mean := 0.0
	for _, s := range r.Servers {
		mean += float64(s.Served) / float64(len(r.Servers))
	}
	_, busiest := Utilisation(r)
	for i, s := range r.Servers {
		x = append(x, float64(i))
		if busiest > 0 {
			y = append(y, s.Utilisation)
		} else {
			y = append(y, float64(s.Served)/max(mean, 1))
		}
	}
	return x, y
}

// maxRows bounds how many endpoints a picture shows; with more, a row is several.
const maxRows = 100

// loads is the load by endpoint and time.
func loads(r *sim.Result) [][]float64 {
	together := (len(r.Servers) + maxRows - 1) / maxRows
	rows := make([][]float64, (len(r.Servers)+together-1)/together)
	for y := range rows {
		rows[y] = make([]float64, len(r.Series))
		for x, s := range r.Series {
			for i := y * together; i < min((y+1)*together, len(s.Load)); i++ {
				rows[y][x] = max(rows[y][x], float64(s.Load[i]))
			}
		}
	}
	return rows
}
