package main

import (
	"bytes"
	"strings"
	"testing"
)

func lines(all ...string) *strings.Reader { return strings.NewReader(strings.Join(all, "\n") + "\n") }

func attr(id, what, ours string) string {
	return `{"Action":"attr","Package":"p","Test":"TestPublished","Key":"published-figure","Value":"{\"ID\":\"` + id + `\",\"What\":\"` + what +
		`\",\"Published\":0.01,\"Ours\":` + ours + `,\"Tolerance\":0.001,\"Unit\":\"s\"}"}`
}

func TestTable(t *testing.T) {
	const pass = `{"Action":"pass","Package":"p","Test":"TestPublished","Elapsed":1.5}`
	for _, c := range []struct {
		name   string
		events []string
		ok     bool
		want   string
	}{
		{"in the order of experiments", []string{attr("E10", "ten", "0.01"), attr("E2", "two", "0.0105"), attr("G1", "gold", "0.01"), pass}, true, "3 of 3"},
		{"one is off", []string{attr("E1", "mean", "0.02"), pass}, false, "OFF"},
		{"another test fails", []string{attr("E1", "mean", "0.01"), `{"Action":"fail","Package":"p","Test":"TestPublishedToo"}`}, false, "1 of 1"},
		{"what does not build", []string{attr("E1", "mean", "0.01"), `{"ImportPath":"p","Action":"build-fail"}`}, false, "1 of 1"},
		{"no rows at all", []string{pass}, false, "0 of 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, progress bytes.Buffer
			if ok := show(lines(c.events...), &out, &progress); ok != c.ok || !strings.Contains(out.String(), c.want) {
				t.Errorf("got %t, want %t and %q in\n%s%s", ok, c.ok, c.want, &progress, &out)
			}
		})
	}
	var out, progress bytes.Buffer
	show(lines(attr("two", "gateways", "0.01"), attr("E10", "ten", "0.01"), attr("E2", "two", "0.0105"), attr("G1", "gold", "0.01"), `{"Action":"fail","Package":"p","Test":"x"}`), &out, &progress)
	text := out.String()
	if g, two, ten, other := strings.Index(text, "gold"), strings.Index(text, "E2"), strings.Index(text, "E10"), strings.Index(text, "gateways"); g < 0 || two < g || ten < two || other < ten {
		t.Errorf("want gold, two, ten, gateways in that order:\n%s", text)
	}
	if !strings.Contains(text, "10.5 ms") || !strings.Contains(text, "± 1 ms") {
		t.Errorf("want figures with their units:\n%s", text)
	}
}

func TestWhatATestSaidIsShownWhereItFails(t *testing.T) {
	var out, progress bytes.Buffer
	show(lines(`{"Action":"output","Package":"p","Test":"TestX","Output":"x.go:3: a reason\n"}`, `{"Action":"fail","Package":"p","Test":"TestX"}`), &out, &progress)
	if !strings.Contains(progress.String(), "a reason") {
		t.Errorf("got %q", &progress)
	}
}
