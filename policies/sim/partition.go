package sim

import "cmp"

// part begins or ends a partition between a gateway and a server. What was under way between them is lost, and that gateway
// alone notices.
func (w *World) part(f Fault, cut bool) {
	g, s := w.gateways[f.Gateway], &w.servers[f.Server]
	if g.cut[f.Server] == cut {
		return
	}
	g.cut[f.Server] = cut
	for n := range w.attempts {
		a := &w.attempts[n]
		if !cut || a.server != s.index || !a.there || a.over || int(w.requests[a.request].gateway) != f.Gateway {
			continue
		}
		w.leave(s, int32(n))
		a.gen++ // its departure is void
		a.there, a.waits = false, false
		w.lost(int32(n))
	}
	g.turns[f.Server]++
	w.notify(f.Gateway, s, cut)
}

// lost plans what comes of an attempt that is never answered: its end, or a second one beside it.
func (w *World) lost(n int32) {
	a := &w.attempts[n]
	w.planExpiry(n)
	if d := cmp.Or(w.requests[a.request].ask.Hedge, w.config.Hedge); d > 0 && a.start+int64(d) > w.now {
		w.plan(event{at: a.start + int64(d), kind: company, who: n, gen: a.gen})
	}
}

// notify plans that a gateway learns of a server that is away from now on, or back.
func (w *World) notify(gateway int, s *server, away bool) {
	d := w.config.Recover
	if away {
		d = w.config.Detect
	}
	if d != nil {
		turn := s.turn + w.gateways[gateway].turns[s.index]
		w.plan(event{at: w.now + int64(d.Draw(w.chance)), kind: notice, who: int32(gateway)<<16 | s.index, gen: turn})
	}
}
