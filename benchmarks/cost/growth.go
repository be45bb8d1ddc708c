//go:build linux

package cost

import (
	"fmt"
	"io"
)

// Growth is what a request costs as one thing grows.
type Growth struct {
	Axis   string  `json:"axis"`
	Lines  []Line  `json:"lines"`
	Labels []Label `json:"labels"`
}

// Label is a place on the axis.
type Label struct {
	Text string  `json:"text"`
	X    float64 `json:"x"` // 0 where the axis is no number
}

// Line is a gateway's, a series for each label.
type Line struct {
	Peer   string    `json:"peer"`
	Series []*Series `json:"series"`
}

// WriteGrowth writes a table for each axis: the cost, and its ratio to the first place in the same rounds.
func WriteGrowth(w io.Writer, date string, all []Growth) {
	fmt.Fprintf(w, "CPU time of a gateway for each proxied request as one thing grows: medians (and ranges) of windows that take turns, and by\nthe first in the same rounds. benchmarks/cost, %s, %s.\n", date, Machine())
	for _, g := range all {
		fmt.Fprintf(w, "\n%-22s", g.Axis)
		for _, l := range g.Lines {
			fmt.Fprintf(w, " %25s %20s %6s", l.Peer+" us/request", "by the first", "calm")
		}
		fmt.Fprintln(w)
		for i, label := range g.Labels {
			fmt.Fprintf(w, "%-22s", label.Text)
			for _, l := range g.Lines {
				s := l.Series[i]
				fmt.Fprintf(w, " %25s %20s %6s", s.Spread((*Window).PerRequest).text(), s.Ratio(l.Series[0]).text(), s.calm())
			}
			fmt.Fprintln(w)
		}
	}
}
