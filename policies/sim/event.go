package sim

// kind is what happens in an event.
type kind uint8

const (
	arrival   kind = iota // the next request comes
	departure             // a server is done with an attempt
	failure               // an attempt fails
	expiry                // the time of an attempt or a request is up
	again                 // a retry starts
	company               // a hedge starts
	fault                 // the next line of the timeline
	notice                // a gateway learns what became of an endpoint
	pass                  // time passes for policies
	weigh                 // weights follow load
	look                  // a gateway looks anew who may get traffic
)

// event is something that will happen. Events at the same time happen in the order in which they were planned.
type event struct {
	at   int64 // ns
	seq  uint64
	kind kind
	who  int32  // attempt, request, endpoint or fault
	gen  uint32 // of who: another one by then makes the event void
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// agenda is a heap of events with four children a node, which is flatter than with two and kinder to the cache.
type agenda struct {
	events []event
	seq    uint64
}

func (a *agenda) plan(e event) {
	e.seq = a.seq
	a.seq++
	a.events = append(a.events, e)
	i := len(a.events) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&a.events[up]) {
			break
		}
		a.events[i] = a.events[up]
		i = up
	}
	a.events[i] = e
}

// next takes the earliest event. There must be one.
func (a *agenda) next() event {
	first := a.events[0]
	n := len(a.events) - 1
	last := a.events[n]
	a.events = a.events[:n]
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		for k := child + 1; k < min(child+4, n); k++ {
			if a.events[k].before(&a.events[child]) {
				child = k
			}
		}
		if !a.events[child].before(&last) {
			break
		}
		a.events[i] = a.events[child]
		i = child
	}
	if n > 0 {
		a.events[i] = last
	}
	return first
}
