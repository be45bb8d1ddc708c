//go:build linux

package cost

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// plotHeight is that of the lines, in pixels.
const plotHeight = 120

// WriteGrowthSVG writes a chart that has a panel for each axis, two a row, with a line for each gateway: the median of the
// cost over the logarithm of what grows. An axis that is no number has bars.
func WriteGrowthSVG(w io.Writer, date string, all []Growth) {
	var body strings.Builder
	y := headHeight
	for i := 0; i < len(all); i += 2 {
		tall := 0
		for j, g := range all[i:min(i+2, len(all))] {
			x := margin + j*(panelWidth+margin)
			if g.Labels[0].X == 0 {
				tall = max(tall, writeBars(&body, &g, x, y))
			} else {
				tall = max(tall, writeLines(&body, &g, x, y))
			}
		}
		y += tall
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">
<title>CPU time for each proxied request as things grow</title>
<rect width="100%%" height="100%%" rx="8" fill="#fff"/>
<text x="%d" y="28" font-size="16" font-weight="600" fill="#1b1f24">CPU time for each proxied request as things grow</text>
<text x="%[3]d" y="46" fill="#57606a">median in µs, over the logarithm of what grows. %s, %s</text>
`, 2*panelWidth+3*margin, y, margin, html.EscapeString(Machine()), date)
	_, _ = io.WriteString(w, body.String()+"</svg>\n")
}

func writeBars(b *strings.Builder, g *Growth, x, y int) int {
	panel := make([]*Series, len(g.Labels))
	for i, s := range g.Lines[0].Series {
		panel[i] = &Series{title: g.Axis, Peer: g.Labels[i].Text, Windows: s.Windows}
	}
	writePanel(b, panel, x, y)
	return titleSpace + rowHeight*len(panel) + margin
}

func writeLines(b *strings.Builder, g *Growth, x, y int) int {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600" fill="#1b1f24">%s</text>`+"\n", x, y+10, html.EscapeString(g.Axis))
	most := 0.0
	for _, l := range g.Lines {
		for _, s := range l.Series {
			most = max(most, s.Spread((*Window).PerRequest).Median)
		}
	}
	low, high := math.Log(g.Labels[0].X), math.Log(g.Labels[len(g.Labels)-1].X)
	left, room := float64(x+40), float64(panelWidth-40-120)
	bottom := float64(y + titleSpace + plotHeight)
	across := func(v float64) float64 { return left + room*(math.Log(v)-low)/(high-low) }
	up := func(v float64) float64 { return bottom - plotHeight*v/most }
	for _, v := range []float64{0, most / 2, most} {
		fmt.Fprintf(b, `<path d="M%.0f %.1fh%.0f" stroke="#d0d7de"/><text x="%.0f" y="%.1f" text-anchor="end" fill="#57606a">%s</text>`, left, up(v), room, left-6, up(v)+4, figure(v))
	}
	for _, l := range g.Labels {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle" fill="#57606a">%s</text>`, across(l.X), bottom+16, l.Text)
	}
	for _, l := range g.Lines {
		color := "#8c959f"
		if strings.HasPrefix(l.Peer, "weir") {
			color = "#0969da"
		}
		var points []string
		end := 0.0
		for i, s := range l.Series {
			end = up(s.Spread((*Window).PerRequest).Median)
			points = append(points, fmt.Sprintf("%.1f,%.1f", across(g.Labels[i].X), end))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), color, left+room+8, end+4, color, html.EscapeString(l.Peer))
	}
	return titleSpace + plotHeight + 24 + margin
}
