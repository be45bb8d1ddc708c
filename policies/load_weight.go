package policies

import "time"

// LoadReport is what an endpoint reports of itself, as ORCA (xDS: Open Request Cost Aggregation) has it. 0 is unknown.
type LoadReport struct {
	Utilisation float64 // of the application, else of the processors: 0..1, more if it is beyond its capacity
	QPS         float64 // requests a second
	EPS         float64 // errors a second
}

// LoadWeights turns reports into weights, by gRFC A58 (weighted_round_robin LB policy).
type LoadWeights struct {
	Blackout   time.Duration // how long reports must have come before they are believed
	Expiration time.Duration // how long one holds
	Penalty    float64       // how much a share of errors adds to the utilisation
}

// LoadWeight is the weight of one endpoint. The zero value knows nothing. It is not for concurrent use; times are
// nanoseconds of any one clock.
type LoadWeight struct {
	weight      float64
	last, since int64
	known       bool
}

// Report takes a report. One without utilisation or without requests says nothing.
func (w *LoadWeight) Report(p LoadWeights, now int64, r LoadReport) {
	if !(r.QPS > 0) {
		return
	}
	u := r.Utilisation + r.EPS/r.QPS*p.Penalty
	if !(r.Utilisation > 0) || !(r.QPS/u > 0) { // neither are the numbers that are none
		return
	}
	w.weight, w.last = r.QPS/u, now
	if !w.known {
		w.known, w.since = true, now
	}
}

// At returns the weight, or 0 while it is unknown: before the blackout is over, and after the last report has expired.
func (w *LoadWeight) At(p LoadWeights, now int64) float64 {
	switch {
	case !w.known:
		return 0
	case time.Duration(now-w.last) >= p.Expiration:
		w.known = false
		return 0
	case time.Duration(now-w.since) < p.Blackout:
		return 0
	}
	return w.weight
}

// SpreadLoad brings weights by load, of which 0 is unknown, to the scale of the weights that they replace: an unknown one
// is the average of the others, and the average stays what it was. With fewer than two known it answers false: there is
// nothing to compare. An endpoint whose own weight is 0 keeps that. Both slices have an element for each endpoint;
// weights is overwritten.
func SpreadLoad(weights, load []float64) bool {
	known, sum, members, own := 0, 0.0, 0, 0.0
	for i, w := range weights {
		if w <= 0 {
			continue
		}
		members++
		own += w
		if load[i] > 0 {
			known++
			sum += load[i]
		}
	}
	if known < 2 {
		return false
	}
	// With the unknown ones at the average, the average of all is that of the known ones.
	scale := own / float64(members) / (sum / float64(known))
	for i, w := range weights {
		switch {
		case w <= 0:
		case load[i] > 0:
			weights[i] = load[i] * scale
		default:
			weights[i] = own / float64(members)
		}
	}
	return true
}
