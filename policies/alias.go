package policies

// alias draws members by weight in constant time: Walker's alias method in Vose's form (IEEE Trans. Softw. Eng. 17(9),
// 1991). Thresholds have 32 bits, so that one 64-bit number serves column and coin: a share is off by at most 2^-32 of
// the column.
type alias []aliasColumn

type aliasColumn struct {
	threshold   uint32 // below it: self
	self, other uint32 // indexes into the table's endpoints
}

// newAlias builds the table over members of t, whose weights are above 0.
func newAlias(t *Table, members []uint32) alias {
	n := uint64(len(members))
	var total uint64
	for _, i := range members {
		total += uint64(t.Endpoints[i].Weight)
	}
	a := make(alias, n)
	left := make([]uint64, n) // weight times n: a full column holds total
	var small, large []int
	for k, i := range members {
		a[k] = aliasColumn{self: i, other: i}
		left[k] = uint64(t.Endpoints[i].Weight) * n
		if left[k] < total {
			small = append(small, k)
		} else {
			large = append(large, k)
		}
	}
	for len(small) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a[s].threshold = uint32(left[s] << 32 / total)
		a[s].other = members[l]
		left[l] -= total - left[s]
		if left[l] < total {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return a
}

// at returns the member that x, uniform over 64 bits, stands for.
func (a alias) at(x uint64) uint32 {
	c := &a[(x>>32)*uint64(len(a))>>32]
	if uint32(x) < c.threshold {
		return c.self
	}
	return c.other
}
