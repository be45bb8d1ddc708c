package policies

import (
	"cmp"
	"slices"
)

// Subset chooses size of the endpoints whose hashes are given, and returns their indexes in ascending order. Each chooser,
// such as a gateway of a fleet, has a hash of its own, and so a choice of its own: the size endpoints with the highest
// mixture of both hashes (rendezvous hashing; gRFC A68, random subsetting). When one endpoint comes or goes, a choice
// changes by one at most. Over many choosers the number of those that have an endpoint is binomial.
func Subset(hashes []uint64, chooser uint64, size int) []int {
	all := make([]int, len(hashes))
	for i := range all {
		all[i] = i
	}
	if size >= len(all) {
		return all
	}
	score := func(i int) uint64 {
		g := splitmix(hashes[i] ^ chooser*0x9e3779b97f4a7c15)
		return g.next()
	}
	slices.SortFunc(all, func(a, b int) int {
		return cmp.Or(cmp.Compare(score(b), score(a)), cmp.Compare(hashes[a], hashes[b]))
	})
	all = all[:size]
	slices.Sort(all)
	return all
}
