package workbench

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/policies"
)

// expect compares what became of the requests with what was expected.
func (t *story) expect(s *Step, path string) {
	e := s.Expect
	if e.Pick != "" {
		t.each(path+".pick", "where the first attempt goes", e.Pick, (*request).first)
	}
	for i, want := range e.Picks {
		if got := t.sent[i].first(); got != want {
			t.fail(form.Item(path+".picks", i), "where the requests go, in turn", strings.Join(e.Picks, ", "), t.line())
			break
		}
	}
	t.shares(e.Share, path+".share")
	for i, name := range e.Never {
		for k, q := range t.sent {
			if slices.ContainsFunc(q.attempts, func(a attempt) bool { return a.endpoint == name }) {
				t.fail(form.Item(path+".never", i), "no attempt goes to "+name, "none", t.which(k)+" went there")
				break
			}
		}
	}
	if e.Retries != nil {
		t.each(path+".retries", "where the further attempts go, in turn", names(e.Retries), func(q *request) string {
			var further []string
			for _, a := range q.attempts[min(1, len(q.attempts)):] {
				further = append(further, a.endpoint)
			}
			return names(further)
		})
	}
	if e.Attempts > 0 {
		t.each(path+".attempts", "how many attempts there are", fmt.Sprint(e.Attempts), func(q *request) string { return fmt.Sprint(len(q.attempts)) })
	}
	if e.Reject > 0 {
		t.each(path+".reject", "what the request is rejected with", fmt.Sprint(e.Reject), func(q *request) string {
			if q.rejected > 0 {
				return fmt.Sprint(q.rejected)
			}
			return "nothing: it went to " + q.first()
		})
	}
	if e.Ends != "" {
		t.each(path+".ends", "how the last attempt ends", e.Ends, (*request).end)
	}
	if e.Same {
		t.each(path+".same", "where the first attempt goes, as that of the first request", t.sent[0].first(), (*request).first)
	}
	if e.Sticky != "" {
		t.each(path+".sticky", "whether the client is bound to the endpoint", e.Sticky, func(q *request) string {
			if q.sticky {
				return "yes"
			}
			return "no"
		})
	}
	if e.Reason > 0 {
		t.each(path+".reason", "out_reason", fmt.Sprint(e.Reason), func(q *request) string { return fmt.Sprint(q.reason) })
	}
}

func names(list []string) string { return cmp.Or(strings.Join(list, ", "), "none") }

// each expects the same of every request.
func (t *story) each(path, what, want string, got func(*request) string) {
	for k, q := range t.sent {
		if g := got(q); g != want {
			t.fail(path, what, want, g+t.of(k))
			return
		}
	}
}

// of says which request was meant, where there are several.
func (t *story) of(k int) string {
	if len(t.sent) == 1 {
		return ""
	}
	return " (" + t.which(k) + ")"
}

func (t *story) which(k int) string {
	if len(t.sent) == 1 {
		return "the request"
	}
	q := t.sent[k]
	return fmt.Sprintf("request %d of %d, at %v", k+1, len(t.sent), q.arrived)
}

// line names where the requests went, the first dozen of them.
func (t *story) line() string {
	const most = 12
	var all []string
	for _, q := range t.sent[:min(most, len(t.sent))] {
		all = append(all, q.first())
	}
	if len(t.sent) > most {
		all = append(all, "...")
	}
	return strings.Join(all, ", ")
}

// shares compares the parts of the first attempts, all of them in one failure: one is seldom wrong alone.
func (t *story) shares(want map[string]string, path string) {
	count := map[string]int{}
	for _, q := range t.sent {
		count[q.first()]++
	}
	wrong := ""
	var asked []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		sh, _ := parseShare(want[name])
		asked = append(asked, fmt.Sprintf("%s %s ± %.4g", name, percentage(sh.want), sh.within*100))
		// A hair of slack: 1/3 of 3 requests is no exact number.
		if got := float64(count[name]) / float64(len(t.sent)); wrong == "" && math.Abs(got-sh.want) > sh.within+1e-9 {
			wrong = name
		}
	}
	if wrong == "" {
		return
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		got = append(got, fmt.Sprintf("%s %s", name, percentage(float64(count[name])/float64(len(t.sent)))))
	}
	t.fail(form.Child(path, wrong), fmt.Sprintf("shares of %d requests", len(t.sent)), strings.Join(asked, ", "), strings.Join(got, ", "))
}

func percentage(x float64) string { return fmt.Sprintf("%.4g%%", x*100) }

// end says how q ended, as Expect.Ends has it.
func (q *request) end() string {
	if len(q.attempts) == 0 {
		return q.first()
	}
	switch o := q.attempts[len(q.attempts)-1].outcome; {
	case o.Class == policies.OK || o.Class == policies.BadStatus:
		return fmt.Sprint(o.Status)
	default:
		return o.Class.String()
	}
}
