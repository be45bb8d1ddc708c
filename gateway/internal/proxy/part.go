package proxy

import (
	"math/rand/v2"

	"github.com/weir-lb/weir/policies"
)

// enterPart gives the request its part of the cluster's view, which it keeps. What is divided by chance is divided by key
// if the request has one, so that a key keeps its part; the bits are mixed anew, because policies place keys by them. A
// request whose session is at an endpoint outside of its part goes with the whole.
func (x *exchange) enterPart() {
	whole, r := x.snap.View, &x.req
	x.view = whole
	if len(whole.Parts) == 0 {
		return
	}
	if r.Flags&policies.HasKey != 0 {
		x.draw = uint32(mix(r.KeyHash) >> 32)
	} else {
		x.draw = rand.Uint32()
	}
	if part := whole.For(x.draw); part.MayServe(r, r.StickyEP) || !whole.MayServe(r, r.StickyEP) {
		x.view = part
	}
}

// renew takes the newest view of the request's table, and the same part of it, before a retry: what was up when the request came
// may have been found to be down while its attempt waited. A request stays with its table, by which it counts what it has tried.
func (x *exchange) renew() {
	s := x.route.Cluster.Load()
	if s == x.snap || s.Table != x.snap.Table {
		return
	}
	whole := x.view == x.snap.View
	x.snap, x.view = s, s.View
	if !whole {
		x.view = s.View.For(x.draw)
	}
}

// widen lets a request that has used its part up, or been refused there, go on with the whole view, if that has anything
// left for it.
func (x *exchange) widen(why string) bool {
	whole := x.snap.View
	if x.view == whole || whole.Candidates(&x.req) == nil {
		return false
	}
	x.view = whole
	if x.explain != nil {
		x.explain.widened(x, why)
	}
	return true
}

// widenIfUsedUp widens before the policy is asked about a part that has nothing left.
func (x *exchange) widenIfUsedUp() {
	if x.view != x.snap.View && x.view.Candidates(&x.req) == nil {
		x.widen("nothing left in the part")
	}
}

// mix is the finalizer of SplitMix64: each bit of the result depends on all of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
