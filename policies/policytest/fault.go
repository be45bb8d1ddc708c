package policytest

import (
	"fmt"

	"github.com/weir-lb/weir/policies"
)

// fault is what can be wrong with an answer.
type fault uint8

const (
	nothing fault = iota
	unusable
	drained
	again
	wrongNone
	worseTier
)

// judge says what is wrong with answer i to r in v, and what was wanted instead.
func (o Options) judge(r *policies.Request, v *policies.View, i int) (f fault, want string) {
	candidates := v.Candidates(r)
	switch {
	case i == policies.Rejected && o.MayReject:
		return nothing, ""
	case i == policies.None && candidates != nil:
		return wrongNone, "an endpoint: some are left"
	case i == policies.None:
		return nothing, ""
	case v.Keeps(i):
		return drained, "an endpoint of weight above 0"
	case !v.Usable(i):
		return unusable, "an endpoint that is in range and usable"
	case candidates == nil:
		return wrongNone, "none: nothing is left"
	case r.HasTried(uint32(i)):
		return again, "an endpoint that is not tried"
	case !o.AnyTier && tier(v, i) != tier(v, int(candidates[0])):
		return worseTier, "an endpoint of the first tier that has one left"
	}
	return nothing, ""
}

func tier(v *policies.View, i int) int {
	return min(int(v.Table.Endpoints[i].Tier), len(v.TierEnd)-1)
}

func answer(i int) string {
	switch i {
	case policies.None:
		return "none"
	case policies.Rejected:
		return "a refusal of the request"
	}
	return fmt.Sprint(i)
}
