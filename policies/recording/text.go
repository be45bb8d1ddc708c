package recording

import (
	"slices"
	"time"

	"github.com/weir-lb/weir/policies"
)

// ejector hands the wishes of a policy on, and notes what came of them. It is called in a call to the policy.
type ejector struct {
	recorder *recorder
	live     policies.Ejector
}

// Eject implements policies.Ejector.
func (e ejector) Eject(i int, d time.Duration) bool {
	ok := e.live.Eject(i, d)
	e.recorder.ejected = append(e.recorder.ejected, ok)
	return ok
}

// field is the text of a header field.
type field struct {
	text  string
	there bool
}

// unheld is a piece of text that a policy read and the trace does not hold.
type unheld struct{ kind, name string }

// texts gives a policy the text of a request, and notes what it reads of it that the trace does not hold.
type texts struct {
	held   []string // names of header fields, sorted
	values []field  // theirs
	attrs  policies.Attrs
	unheld map[unheld]bool
	news   []unheld // not recorded yet
}

// of takes the text of q.
func (t *texts) of(q *policies.Request) {
	t.attrs = q.Attrs
	for i, name := range t.held {
		t.values[i] = field{}
		if q.Attrs != nil {
			text, there := q.Attrs.Header(name)
			t.values[i] = field{string(text), there}
		}
	}
}

// maxUnheld bounds how many names of text that is not held are told.
const maxUnheld = 64

func (t *texts) note(u unheld) {
	if !t.unheld[u] && len(t.unheld) < maxUnheld {
		t.unheld[u] = true
		t.news = append(t.news, u)
	}
}

var attrNames = [...]string{
	policies.AttrPath: "path", policies.AttrQuery: "query", policies.AttrHost: "host", policies.AttrMethod: "method",
	policies.AttrSNI: "sni", policies.AttrRoute: "route", policies.AttrCluster: "cluster", policies.AttrClientIP: "client ip",
	policies.AttrClientIdentity: "client identity",
}

// Attr implements policies.Attrs.
func (t *texts) Attr(a policies.Attr) []byte {
	if int(a) < len(attrNames) {
		t.note(unheld{kind: attrNames[a]})
	}
	return t.attrs.Attr(a)
}

// Header implements policies.Attrs.
func (t *texts) Header(name string) ([]byte, bool) {
	if _, held := slices.BinarySearch(t.held, name); !held {
		t.note(unheld{"header", name})
	}
	return t.attrs.Header(name)
}

// Cookie implements policies.Attrs.
func (t *texts) Cookie(name string) ([]byte, bool) {
	t.note(unheld{"cookie", name})
	return t.attrs.Cookie(name)
}

// replayed is the text of a request in a replay: what the trace holds of it.
type replayed struct {
	held   []string
	values []field
}

// Attr implements policies.Attrs.
func (*replayed) Attr(policies.Attr) []byte { return nil }

// Header implements policies.Attrs.
func (t *replayed) Header(name string) ([]byte, bool) {
	i, held := slices.BinarySearch(t.held, name)
	if !held || !t.values[i].there {
		return nil, false
	}
	return []byte(t.values[i].text), true
}

// Cookie implements policies.Attrs.
func (*replayed) Cookie(string) ([]byte, bool) { return nil, false }
