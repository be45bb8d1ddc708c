package workbench

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-lb/weir/policies"
)

// request is one request on the stage, from its arrival until the client has its answer.
type request struct {
	stage    *stage
	send     *Send
	session  string
	arrived  int64
	view     *policies.View
	picker   policies.Picker
	r        policies.Request
	attempts []attempt
	sticky   bool // the policy wanted the client bound, by its last answer
	reason   uint32
	rejected int  // the status that the policy refused it with
	open     *int // requests of its send that have not ended
}

// attempt is where one attempt went, and how it ended.
type attempt struct {
	endpoint string
	outcome  policies.Outcome
}

// text is the text of a request.
type text struct {
	send  *Send
	query string
	path  string
}

// Attr implements policies.Attrs.
func (t *text) Attr(a policies.Attr) []byte {
	switch a {
	case policies.AttrPath:
		return []byte(t.path)
	case policies.AttrQuery:
		return []byte(t.query)
	case policies.AttrHost:
		return []byte(t.send.Host)
	case policies.AttrMethod:
		return []byte(t.send.Method)
	case policies.AttrRoute:
		return []byte("test")
	case policies.AttrClientIP:
		return []byte(t.send.ClientIP)
	}
	return nil
}

// Header implements policies.Attrs.
func (t *text) Header(name string) ([]byte, bool) {
	for k, v := range t.send.Headers {
		if strings.EqualFold(k, name) {
			return []byte(v), true
		}
	}
	return nil, false
}

// Cookie implements policies.Attrs.
func (t *text) Cookie(name string) ([]byte, bool) {
	v, ok := t.send.Cookies[name]
	return []byte(v), ok
}

var methods = map[string]policies.Method{
	"GET": policies.MethodGet, "HEAD": policies.MethodHead, "POST": policies.MethodPost, "PUT": policies.MethodPut,
	"DELETE": policies.MethodDelete, "CONNECT": policies.MethodConnect, "OPTIONS": policies.MethodOptions,
	"TRACE": policies.MethodTrace, "PATCH": policies.MethodPatch,
}

// numbered puts i where s has {i}.
func numbered(s string, i int) string { return strings.ReplaceAll(s, "{i}", strconv.Itoa(i)) }

// arrive lets request i of a send come, now.
func (s *stage) arrive(send *Send, i int, open *int) *request {
	path, query, _ := strings.Cut(send.Path, "?")
	method := methods[send.Method]
	ip, _ := netip.ParseAddr(send.ClientIP)
	q := &request{stage: s, send: send, session: numbered(send.Session, i), arrived: s.now, view: s.view, picker: s.picker, open: open}
	*open++
	q.r = policies.Request{
		Seq: s.seq, Method: method, Flags: policies.Replayable, ClientIP: ip.As16(), ClientPort: uint16(40000 + s.seq%20000),
		PathHash: xxhash.Sum64String(path), HostHash: xxhash.Sum64String(send.Host),
		Last: policies.Outcome{Endpoint: policies.None}, StickyEP: policies.None, Attrs: &text{send, query, path},
	}
	s.seq++
	if method.Idempotent() {
		q.r.Flags |= policies.Idempotent
	}
	if send.Key != "" {
		q.r.Flags |= policies.HasKey
		q.r.KeyHash = xxhash.Sum64String(numbered(send.Key, i))
	}
	if num, ok := s.jar[q.session]; ok && q.session != "" {
		for k, e := range s.table.Endpoints {
			if e.Num == num {
				q.r.StickyEP = k
			}
		}
	}
	q.place(q.pick())
	return q
}

// refresh brings q up to the time before a call of the policy.
func (q *request) refresh() {
	r := &q.r
	r.Now, r.Rand = q.stage.now, q.stage.chance.Uint64()
	r.Elapsed = time.Duration(q.stage.now - q.arrived)
	r.Deadline = max(q.send.Deadline-r.Elapsed, time.Millisecond)
	if int(r.Attempt)+1 >= q.send.Attempts {
		r.Flags |= policies.LastTry
	}
}

func (q *request) pick() int {
	q.r.ResetAnswers()
	q.refresh()
	return q.picker.Pick(&q.r, q.view)
}

// place sends an attempt to endpoint i, or ends the request if that is none.
func (q *request) place(i int) {
	q.reason = q.r.Reason
	if i < 0 {
		*q.open--
		if i == policies.Rejected {
			q.rejected = q.r.RejectStatus
		}
		return
	}
	e := q.view.Table.Endpoints[i]
	a := q.stage.actors[e.Name]
	q.sticky = q.r.SetSticky
	q.attempts = append(q.attempts, attempt{endpoint: e.Name})
	f := policies.Feedback{Num: e.Num, Tag: q.r.Tag, Instance: q.r.Instance, Inflight: e.Inflight(), Attempt: q.r.Attempt}
	if a == nil { // removed, and the request holds an older view
		q.finish(i, nil, policies.Outcome{Class: policies.Refused, Load: -1}, f)
		return
	}
	a.state.AddInflight(1)
	q.stage.plan(a.Takes, func() {
		o := a.answer
		o.Total = a.Takes
		if o.Status != 0 {
			o.FirstByte = a.Takes
		}
		q.finish(i, a, o, f)
	})
}

// finish ends an attempt at endpoint i, and goes on as the policy wants.
func (q *request) finish(i int, a *actor, o policies.Outcome, f policies.Feedback) {
	o.Endpoint = i
	q.attempts[len(q.attempts)-1].outcome = o
	if a != nil {
		a.end(o)
	}
	q.r.MarkTried(uint32(i))
	q.r.Attempt++
	q.r.Last = o
	next, again, after := q.next(o)
	f.Outcome, f.Now, f.Final = o, q.stage.now, !again
	q.stage.guest.Observe(q.view, f)
	if !again {
		*q.open--
		if num := q.view.Table.Endpoints[i].Num; q.sticky && q.session != "" {
			q.stage.jar[q.session] = num
		}
		return
	}
	q.stage.plan(after, func() { q.place(next) })
}

// next asks what follows outcome o, with the refusals of a gateway.
func (q *request) next(o policies.Outcome) (endpoint int, again bool, after time.Duration) {
	if o.Class == policies.OK && o.Status < 400 {
		return 0, false, 0
	}
	q.refresh()
	r := &q.r
	want := q.stage.guest.Next(r, q.view, o)
	switch {
	case want.Action == policies.Reject:
		q.rejected = r.RejectStatus
		return 0, false, 0
	case want.Action != policies.Retry || r.NoRetry || int(r.Attempt) >= q.send.Attempts, o.Sent && r.Flags&policies.Idempotent == 0:
		return 0, false, 0
	}
	if endpoint = want.Endpoint; endpoint < 0 || !q.view.MayServe(r, endpoint) {
		endpoint = q.pick()
	}
	if endpoint == policies.Rejected {
		q.rejected = r.RejectStatus
	}
	return endpoint, endpoint >= 0, max(want.After, 0)
}
