package discovery

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// listed makes instances of one-letter names. A capital is critical, and a name with a dash, as in "a-x", has the ID x at
// the address of a.
func listed(names string) []Instance {
	var out []Instance
	for name := range strings.FieldsSeq(names) {
		address, id, moved := strings.Cut(name, "-")
		in := Instance{ID: strings.ToLower(address), Address: strings.ToLower(address)}
		if moved {
			in.ID = id
		}
		if address != strings.ToLower(address) {
			in.Status = Critical
		}
		out = append(out, in)
	}
	return sorted(out)
}

func ids(instances []Instance) string {
	var names []string
	for _, in := range instances {
		names = append(names, in.ID)
	}
	return strings.Join(names, " ")
}

func TestHoldJudgesOneAnswer(t *testing.T) {
	for _, c := range []struct {
		name, last, next, want string
		answer                 Answer
		left                   time.Duration // 0: believed
	}{
		{name: "the first answer is believed", next: "a b", want: "a b"},
		{name: "an empty first answer is believed"},
		{name: "one that grows is believed", last: "a", next: "a b", want: "a b"},
		{name: "half may go at once", last: "a b", next: "b", want: "b"},
		{name: "more than half is doubted", last: "a b c", next: "c", want: "a b c", left: 10},
		{name: "the last one is doubted", last: "a", want: "a", left: 10},
		{name: "those in place are up to date while others are doubted", last: "a b c", next: "d", want: "a b c d", left: 10},
		{name: "critical ones may go at once", last: "A B C", want: ""},
		{name: "critical ones do not count as places", last: "A B c d", next: "d", want: "d"},
		{name: "critical ones that go do not come back with the doubted", last: "A b", want: "b", left: 10},
		{name: "one that is registered anew is not missing", last: "a b", next: "a-x b-y", want: "x y"},
		{
			name: "after a reset a single loss is doubted, for longer", last: "a b c", next: "a b", want: "a b c",
			answer: Answer{Reset: true}, left: 240,
		},
		{name: "after a reset an empty list is never believed", last: "a b", want: "a b", answer: Answer{Reset: true}, left: -1},
		{
			name: "what may be hidden is never missing", last: "a b c d", next: "a b c", want: "a b c d",
			answer: Answer{Partial: true}, left: -1,
		},
		{name: "a reset that lost nothing is believed", last: "a b", next: "a b", want: "a b", answer: Answer{Reset: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Hold{Time: 10}
			c.answer.Instances = listed(c.next)
			got, shrink := h.Weigh(time.Unix(1, 0), listed(c.last), c.answer)
			if ids(got) != c.want {
				t.Errorf("got %q, want %q", ids(got), c.want)
			}
			if left := shrinkLeft(shrink); left != c.left {
				t.Errorf("left %v, want %v", left, c.left)
			}
			if shrink != nil && shrink.Error() == "" {
				t.Error("no reason")
			}
		})
	}
}

func shrinkLeft(s *Shrink) time.Duration {
	if s == nil {
		return 0
	}
	return s.Left
}

func TestHoldBelievesASureAnswerInTime(t *testing.T) {
	h := Hold{Time: 10}
	last := listed("a b c")
	start := time.Unix(1, 0)
	for _, c := range []struct {
		name string
		at   time.Duration
		sure bool
		next string
		want string // "": the list is believed
		left time.Duration
	}{
		{"an unsure answer starts no clock", 0, false, "c", "a b c", 10},
		{"nor do many", 20, false, "c", "a b c", 10},
		{"a sure one does", 20, true, "c", "a b c", 10},
		{"it runs", 25, false, "c", "a b c", 5},
		{"an unsure answer does not end it", 31, false, "c", "a b c", 0},
		{"one that comes back starts it afresh", 32, true, "b c", "a b c", 10},
		{"although one of three alone would be believed", 41, true, "b c", "a b c", 1},
		{"a sure answer in time ends it", 42, true, "b c", "", 0},
	} {
		got, shrink := h.Weigh(start.Add(c.at), last, Answer{Instances: listed(c.next), Sure: c.sure})
		if (shrink == nil) != (c.want == "") || shrinkLeft(shrink) != c.left {
			t.Fatalf("%s: shrink %v, want left %v", c.name, shrink, c.left)
		}
		if c.want != "" && ids(got) != c.want {
			t.Fatalf("%s: got %q, want %q", c.name, ids(got), c.want)
		}
		last = got
	}
	if ids(last) != "b c" {
		t.Errorf("believed %q, want b c", ids(last))
	}
}

func TestHoldIsInterrupted(t *testing.T) {
	h := Hold{Time: 10}
	last, one := listed("a b c"), Answer{Instances: listed("c"), Sure: true}
	h.Weigh(time.Unix(0, 1), last, one)
	h.Interrupt()
	if _, shrink := h.Weigh(time.Unix(0, 100), last, one); shrinkLeft(shrink) != 10 {
		t.Errorf("shrink %v, want its full time after an interruption", shrink)
	}
	if _, shrink := h.Weigh(time.Unix(0, 110), last, one); shrink != nil {
		t.Errorf("shrink %v, want belief", shrink)
	}
}

func TestHoldLeavesItsArgumentsAlone(t *testing.T) {
	h := Hold{Time: 10}
	last, next := listed("a b c"), slices.Grow(listed("z"), 10)
	got, _ := h.Weigh(time.Unix(1, 0), last, Answer{Instances: next})
	if ids(got) != "a b c z" || ids(last) != "a b c" || ids(next[:cap(next)][:2]) != "z " {
		t.Errorf("got %q of %q and %q", ids(got), ids(last), ids(next[:2]))
	}
}
