package scenario

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
)

// curve is a line of a plot. What is not a number is left out of it.
type curve struct {
	name, colour string
	x, y         []float64
}

// axis maps what is shown to 0..1.
type axis struct {
	label    string
	min, max float64
	log      bool
	whole    bool      // ticks at whole numbers alone
	ticks    []float64 // nil: made
	text     func(x float64) string
}

func (a *axis) at(x float64) float64 {
	if a.log {
		return (math.Log(x) - math.Log(a.min)) / (math.Log(a.max) - math.Log(a.min))
	}
	return (x - a.min) / (a.max - a.min)
}

// fit makes room for values.
func (a *axis) fit(values []float64) {
	for _, x := range values {
		if math.IsNaN(x) || math.IsInf(x, 0) || a.log && x <= 0 {
			continue
		}
		a.min, a.max = min(a.min, x), max(a.max, x)
	}
}

// settle ends fitting: there is a range, and ticks at round figures.
func (a *axis) settle() {
	if a.min > a.max {
		a.min, a.max = 0, 1
		if a.log {
			a.min = 0.1
		}
	}
	if a.log {
		a.min, a.max = a.min/1.1, a.max*1.1
		if a.ticks != nil {
			return
		}
		for e := math.Floor(math.Log10(a.min)); e <= math.Log10(a.max); e++ {
			for _, k := range []float64{1, 2, 5} {
				if x := k * math.Pow(10, e); x >= a.min && x <= a.max && (k == 1 || a.max/a.min < 50) {
					a.ticks = append(a.ticks, x)
				}
			}
		}
		return
	}
	if a.max == a.min {
		a.max++
	}
	if a.ticks != nil {
		return
	}
	step := math.Pow(10, math.Floor(math.Log10((a.max-a.min)/4)))
	if a.whole {
		step = max(step, 1)
	}
	for _, k := range []float64{5, 2} {
		if (a.max-a.min)/(step*k) >= 4 {
			step *= k
			break
		}
	}
	for x := math.Ceil(a.min/step) * step; x <= a.max*1.0001; x += step {
		a.ticks = append(a.ticks, x)
	}
}

// Size of a plot, and of what is around it.
const (
	plotWidth, plotHeight = 560, 270
	left, right, top, low = 62, 12, 12, 40
)

// plot draws curves as SVG.
func plot(x, y axis, curves []curve) template.HTML {
	for _, c := range curves {
		x.fit(c.x)
		y.fit(c.y)
	}
	x.settle()
	y.settle()
	px := func(v float64) float64 { return left + x.at(v)*(plotWidth-left-right) }
	py := func(v float64) float64 { return plotHeight - low - y.at(v)*(plotHeight-top-low) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img">`, plotWidth, plotHeight)
	for _, t := range x.ticks {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %dV%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			px(t), top, plotHeight-low, px(t), plotHeight-low+15, html.EscapeString(x.text(t)))
	}
	for _, t := range y.ticks {
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, py(t), plotWidth-right, left-6, py(t)+4, html.EscapeString(y.text(t)))
	}
	fmt.Fprintf(&b, `<text class="label" x="%d" y="%d" text-anchor="end">%s</text>`, plotWidth-right, plotHeight-6, html.EscapeString(x.label))
	for _, c := range curves {
		path, move := "", "M"
		for i := range c.x {
			if math.IsNaN(c.y[i]) || y.log && c.y[i] <= 0 || x.log && c.x[i] <= 0 {
				move = "M"
				continue
			}
			path += fmt.Sprintf("%s%.1f %.1f", move, px(c.x[i]), py(c.y[i]))
			move = "L"
		}
		fmt.Fprintf(&b, `<path class="curve" stroke="%s" d="%s"><title>%s</title></path>`, c.colour, path, html.EscapeString(c.name))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // every text in it is escaped
}

// heat draws rows of columns, 0..most, as a picture for an img element. Colours go by the square root: what is little
// beside the worst moment is still to be told apart.
func heat(rows [][]float64, most float64) template.URL {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return ""
	}
	im := image.NewRGBA(image.Rect(0, 0, len(rows[0]), len(rows)))
	for y, row := range rows {
		for x, v := range row {
			im.SetRGBA(x, y, warmth(math.Sqrt(v/max(most, 1e-9))))
		}
	}
	var b bytes.Buffer
	if png.Encode(&b, im) != nil {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())) //nolint:gosec // of our own making
}

// warmth goes from pale yellow over orange to dark violet.
func warmth(x float64) color.RGBA {
	stops := [][3]float64{{252, 250, 226}, {254, 201, 122}, {240, 96, 69}, {155, 27, 92}, {38, 6, 54}}
	at := min(max(x, 0), 1) * float64(len(stops)-1)
	k := min(int(at), len(stops)-2)
	f := at - float64(k)
	mix := func(c int) uint8 { return uint8(stops[k][c]*(1-f) + stops[k+1][c]*f) }
	return color.RGBA{mix(0), mix(1), mix(2), 255}
}
