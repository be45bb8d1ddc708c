//go:build linux

package cost

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Sizes of the chart, in pixels.
const (
	panelWidth = 450
	labelWidth = 140
	barHeight  = 14
	rowHeight  = 20
	valueWidth = 84
	margin     = 20
	headHeight = 62
	titleSpace = 26
)

// WriteSVG writes a chart that has a panel for each load, two a row, with a bar for each gateway: the median of its cost,
// and a line from the least to the greatest.
func (r *Report) WriteSVG(w io.Writer) {
	panels := r.panels()
	y := headHeight
	var body strings.Builder
	for i := 0; i < len(panels); i += 2 {
		tall := 0
		for j, p := range panels[i:min(i+2, len(panels))] {
			writePanel(&body, p, margin+j*(panelWidth+margin), y)
			tall = max(tall, titleSpace+rowHeight*len(p)+margin)
		}
		y += tall
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">
<title>CPU time of gateways for each proxied request</title>
<rect width="100%%" height="100%%" rx="8" fill="#fff"/>
<text x="%d" y="28" font-size="16" font-weight="600" fill="#1b1f24">CPU time for each proxied request</text>
<text x="%[3]d" y="46" fill="#57606a">median of windows that take turns, with the range; less is better. %s, %s</text>
`, 2*panelWidth+3*margin, y, margin, html.EscapeString(r.Machine), r.Date)
	_, _ = io.WriteString(w, body.String()+"</svg>\n")
}

// panels are the series of each load.
func (r *Report) panels() (all [][]*Series) {
	for _, s := range r.Series {
		if len(all) == 0 || all[len(all)-1][0].Load != s.Load {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], s)
	}
	return all
}

func writePanel(b *strings.Builder, panel []*Series, x, y int) {
	unit := "µs a request"
	if panel[0].Bytes {
		unit = "µs a MiB"
	}
	fmt.Fprintf(b, `<text x="%d" y="%d"><tspan font-weight="600" fill="#1b1f24">%s</tspan> <tspan fill="#57606a">%s</tspan></text>`+"\n",
		x, y+10, html.EscapeString(panel[0].title), unit)
	most := 0.0
	for _, s := range panel {
		most = max(most, s.Cost().Median)
	}
	room := float64(panelWidth - labelWidth - valueWidth)
	at := func(v float64) float64 { return math.Min(v/most, 1.1) * room }
	left := float64(x + labelWidth)
	for i, s := range panel {
		c, top := s.Cost(), y+titleSpace+i*rowHeight-6
		fill, weight := "#8c959f", "400"
		if strings.HasPrefix(s.Peer, "weir") {
			fill, weight = "#0969da", "600"
		}
		mid := float64(top) + barHeight/2
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="end" font-weight="%s" fill="#1b1f24">%s</text>`, left-6, mid+4, weight, html.EscapeString(s.Peer))
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, left, top, at(c.Median), barHeight, fill)
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="#1b1f24" stroke-width="1.5"/>`, left+at(c.Min), mid, left+at(c.Max))
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" fill="#1b1f24">%s</text>`+"\n", left+max(at(c.Max), at(c.Median))+6, mid+4, figure(c.Median))
	}
}

// figure has three digits or so.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
