// Package experiments holds published figures beside ours. A test whose name begins with TestPublished gives its rows to
// [Hold]; `make sim` runs those tests, whole, and prints the rows of all of them in one table.
package experiments

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// Row is a figure that was published, and what it came to here. Published, Ours and Tolerance have the same unit.
type Row struct {
	ID        string  // of the experiment: "G3", "E10"
	What      string  // that was measured, in few words
	Source    string  // of the published figure: paper, RFC, gRFC, or "computed"
	Published float64 // what is wanted, or the bound of it
	Ours      float64
	Tolerance float64 // how far Ours may be off Published; 0: exact
	Unit      string  // "s", "%" (0..100), or "" of a plain number
	Kind      Kind
}

// Kind says what Published is.
type Kind uint8

// Kinds.
const (
	Near    Kind = iota // within Tolerance of it
	AtMost              // at most Tolerance above
	AtLeast             // at most Tolerance below
)

// Within reports whether r holds.
func (r Row) Within() bool {
	const rounding = 1e-9
	off := r.Ours - r.Published
	switch r.Kind {
	case AtLeast:
		off = -off
	case Near:
		off = math.Abs(off)
	case AtMost:
	}
	return off <= r.Tolerance+rounding*math.Abs(r.Published) // NaN is not within
}

// Attr is the name of the test attribute that carries a row, as JSON.
const Attr = "published-figure"

// Whole reports whether experiments are to run in full, as `make sim` asks for by WEIR_EXPERIMENTS=whole; else a test has
// seconds.
func Whole() bool { return os.Getenv("WEIR_EXPERIMENTS") == "whole" }

// Hold fails t for each row that does not hold, and puts them into the table of `make sim`.
func Hold(t *testing.T, rows ...Row) {
	t.Helper()
	for _, r := range rows {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s, %s: %v", r.ID, r.What, err)
		}
		t.Attr(Attr, string(text))
		if !r.Within() {
			t.Errorf("%s, %s: %g%s, published %g%s, want it within %g (%s)", r.ID, r.What, r.Ours, r.Unit, r.Published, r.Unit, r.Tolerance, r.Source)
		}
	}
}
