package gateway

import "github.com/weir-lb/weir/gateway/internal/certs"

func (c collection) certificates(all []certs.Status) {
	for _, s := range all {
		c.add(mExpiry, float64(s.NotAfter.Unix()), s.Side, s.Of, s.Part, s.Title, s.Key)
	}
	type owner struct{ side, of string }
	taken, refused, stale := map[owner]uint64{}, map[owner]uint64{}, map[owner]float64{}
	for _, s := range all {
		o := owner{s.Side, s.Of}
		taken[o] += s.Taken
		refused[o] += s.Refusals
		if stale[o] += 0; s.Refused != "" {
			stale[o]++
		}
	}
	for o := range taken {
		c.add(mCertFiles, float64(taken[o]), o.side, o.of, "ok")
		c.add(mCertFiles, float64(refused[o]), o.side, o.of, "refused")
		c.add(mCertStale, stale[o], o.side, o.of)
	}
}
