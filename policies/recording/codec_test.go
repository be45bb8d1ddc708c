package recording

import (
	"testing"

	"github.com/weir-lb/weir/policies"
)

// TestFeedbackIsRecordedWhole: a guest that is replayed hears what it heard.
func TestFeedbackIsRecordedWhole(t *testing.T) {
	o := policies.Outcome{Endpoint: 1, Class: policies.Reset, Status: 502, Sent: true, FirstByte: 3, Total: 4, Load: 0.5}
	for _, f := range []policies.Feedback{
		{Outcome: o, Now: 5, Num: 6, Tag: 7, Shadow: 8, Instance: 9, Inflight: 10, Attempt: 11},
		{Final: true},
		{Unmade: true},
		{Loser: true},
	} {
		w := codec{}
		was := f
		w.feedback(&was, 2)
		var got policies.Feedback
		r := codec{b: w.b, reading: true}
		if r.feedback(&got, 2); got != f || r.bad || len(r.b) > 0 {
			t.Errorf("%+v was read as %+v, %d bytes left", f, got, len(r.b))
		}
	}
}
