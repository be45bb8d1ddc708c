//go:build wasip1

// Command llm-prefix sends requests whose prompts begin alike to one endpoint, whose key-value cache holds what they share,
// while it has not much more in flight than the mean; then to the next in the prefix's order. README.md says more.
//
// The order is by weighted rendezvous hashing: a prefix moves only if an endpoint before it in its order comes or leaves. It
// looks at each endpoint in each pick, for which fleets of inference servers are small enough.
package main

import (
	"math"
	"math/bits"

	lb "github.com/weir-lb/weir/wasmhost/sdk/go"
)

// What OutReason says.
const (
	home    = 1 // the first of the prefix's order that is usable and untried
	spilled = 2 // a later one, for load
	drawn   = 3 // no prefix, or its list is used up: the less loaded of two
	full    = 4 // the list is above the ceiling: the least loaded of it
)

const (
	seed   = 0x6c6c6d5f70660001 // of the prefix's hash
	most   = 128                // usable endpoints looked at: what the fuel of a pick is enough for
	listed = 4                  // head of the order
)

// entry is what is kept of an endpoint.
type entry struct {
	hash   uint64
	weight uint64
}

var (
	table    *lb.Table
	heaviest uint32
	entries  []entry

	header      int32
	ceiling     uint64 = 150
	minInflight uint64 = 4
)

//go:wasmexport lb_abi_v1
func abi(_ uint64) uint64 { return lb.Replicable | lb.Want(lb.Inflight) }

//go:wasmexport lb_alloc
func alloc(what int32, n uint32) uint32 { return lb.Alloc(what, n) }

//go:wasmexport lb_init
func start(config, n uint32) int32 {
	name := "X-Prompt-Prefix"
	s := lb.NewSettings(config, n)
	for {
		p, ok := s.Next()
		switch {
		case s.Failed():
			return -1
		case !ok:
			if header = -1; name != "" {
				header = lb.HeaderID(name)
				return min(header, 0)
			}
			return 0
		case p.Key == "header" && !p.IsNumber:
			name = p.Text
		case p.Key == "load_ceiling_percent" && p.IsNumber && p.Number >= 100 && p.Number <= 1000:
			ceiling = p.Number
		case p.Key == "min_inflight" && p.IsNumber && p.Number <= 1<<20:
			minInflight = p.Number
		default:
			return -1
		}
	}
}

//go:wasmexport lb_endpoints
func endpoints(t *lb.Table) int32 {
	table, heaviest = t, t.Heaviest()
	if int(t.N) > cap(entries) {
		entries = make([]entry, 1<<bits.Len32(t.N))
	}
	for i := range t.N {
		e := t.Endpoint(i)
		entries[i] = entry{e.IDHash, uint64(e.Weight)}
	}
	return 0
}

//go:wasmexport lb_pick
func pick(r *lb.Request) int32 {
	up := table.Candidates(r)
	if len(up) == 0 {
		return lb.Defer
	}
	key := r.PathHash
	if header >= 0 {
		key = lb.HeaderHash(header, seed)
	}
	if key == 0 || r.NTried >= listed { // no prefix, or the list is used up
		return lessLoaded(r, up)
	}
	list(r, up, key)
	return lb.List
}

// list lists the head of the prefix's order without those tried, one that may have one request more in front. The functions
// below are small, and their loops have few branches, for the reason that lb.go gives.
//
//go:noinline
func list(r *lb.Request, up []uint32, key uint64) {
	if n := uint64(len(up)); n > most { // as many in a row: their number moves the window, but hardly changes it
		up = up[(key>>32)*(n-most+1)>>32:][:most]
	}
	column := table.Column(lb.Inflight)
	inflight, weight := score(key, up, column)
	enlist(r, up, head(len(up)))
	k := firstWithRoom(r, column, inflight, weight)
	switch {
	case k == 0:
		r.OutReason = home
	case k > 0:
		r.OutReason = spilled
	default:
		k, r.OutReason = leastLoaded(r, column), full
	}
	toFront(r, k)
}

// scores are those of the endpoints looked at, with their places in up below.
var scores [most]uint64

// score fills in the scores, the least of which come first, and sums up the load. A score is an even number in 0..1 of the key
// and the endpoint, minus its logarithm, by weight (Schindelhauer and Schomaker 2005). The logarithm is linear between powers
// of two: that keeps the order of numbers, and so equal weights have equal shares; others deviate by a few percent.
//
//go:nosplit
//go:noinline
func score(key uint64, up, column []uint32) (inflight, weight uint64) {
	for k, ep := range up {
		e := &entries[ep]
		inflight += uint64(column[ep])
		weight += e.weight
		x := key ^ e.hash
		x = lb.Next(&x)
		zeros := uint64(bits.LeadingZeros64(x)) & 63
		// x/2^64 = 2^-(zeros+1) * (1 + rest/2^24)
		rest := x << zeros << 1 >> 40
		scores[k&(most-1)] = (((zeros+1)<<24-rest)<<24/e.weight)<<8 | uint64(k)
	}
	return inflight, weight
}

// head is the least of the first n scores, in order, and the largest number where there are fewer.
//
//go:nosplit
//go:noinline
func head(n int) (least [listed]uint64) {
	const last = math.MaxInt64
	a, b, c, d := uint64(last), uint64(last), uint64(last), uint64(last)
	for _, v := range scores[:n] {
		a, v = exchange(a, v)
		b, v = exchange(b, v)
		c, v = exchange(c, v)
		d, _ = exchange(d, v)
	}
	return [listed]uint64{a, b, c, d}
}

// exchange orders two numbers below 2^63, without a branch.
func exchange(x, y uint64) (least, other uint64) {
	swap := (x ^ y) & uint64(int64(y-x)>>63)
	return x ^ swap, y ^ swap
}

// enlist writes those of the head that were not tried.
//
//go:noinline
func enlist(r *lb.Request, up []uint32, least [listed]uint64) {
	r.OutN = 0
	for _, v := range least[:min(listed, len(up))] {
		if ep := up[v&(most-1)]; r.NTried == 0 || !r.HasTried(ep) {
			r.OutEp[r.OutN&7] = ep
			r.OutN++
		}
	}
}

// firstWithRoom is the place of the first that may have one request more: few, or at most the ceiling's share of all that are
// in flight, that one included; -1 if there is none.
//
//go:nosplit
//go:noinline
func firstWithRoom(r *lb.Request, column []uint32, inflight, weight uint64) int {
	for k := 0; k < int(r.OutN); k++ {
		ep := r.OutEp[k&7]
		n := uint64(column[ep])
		if n < minInflight || n*100*weight < ceiling*(inflight+1)*entries[ep].weight {
			return k
		}
	}
	return -1
}

//go:noinline
func leastLoaded(r *lb.Request, column []uint32) (least int) {
	for k := 1; k < int(r.OutN); k++ {
		if less(column, r.OutEp[k&7], r.OutEp[least&7]) {
			least = k
		}
	}
	return least
}

// toFront moves an entry of the list to its front.
//
//go:nosplit
//go:noinline
func toFront(r *lb.Request, k int) {
	ep := r.OutEp[k&7]
	for ; k > 0; k-- {
		r.OutEp[k&7] = r.OutEp[(k-1)&7]
	}
	r.OutEp[0] = ep
}

// less tells whether a has less load for its weight than b.
func less(inflight []uint32, a, b uint32) bool {
	return (uint64(inflight[a])+1)*entries[b].weight < (uint64(inflight[b])+1)*entries[a].weight
}

// lessLoaded draws two by weight; in a retry one, for the fuel.
func lessLoaded(r *lb.Request, up []uint32) int32 {
	r.OutReason = drawn
	seed := r.Rnd
	a := table.Draw(r, up, heaviest, -1, &seed)
	if r.NTried > 0 {
		return a
	}
	b := table.Draw(r, up, heaviest, a, &seed)
	if b >= 0 && less(table.Column(lb.Inflight), uint32(b), uint32(a)) {
		return b
	}
	return a
}

func main() {}
