package policies

// builtin lists the policies that come with Weir, in alphabetical order of the names that configuration uses.
var builtin = [...]struct {
	name   string
	policy Policy
}{
	{"bounded_hash", BoundedHash{}},
	{"first", First{}},
	{"jump_hash", JumpHash{}},
	{"least_request", LeastRequest{}},
	{"maglev", Maglev{}},
	{"p2c", P2C{}},
	{"peak_ewma", PeakEWMA{}},
	{"prequal", Prequal{}},
	{"random", Random{}},
	{"rendezvous", Rendezvous{}},
	{"ring_hash", RingHash{}},
	{"round_robin", RoundRobin{}},
	{"weighted_round_robin", WeightedRoundRobin{}},
}

// ByName returns the built-in policy of that name, and whether there is one. Built-in policies hold no state, pickers
// do: one policy may serve any number of clusters.
func ByName(name string) (Policy, bool) {
	for _, b := range builtin {
		if b.name == name {
			return b.policy, true
		}
	}
	return nil, false
}

// Names lists the built-in policies in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(builtin))
	for _, b := range builtin {
		names = append(names, b.name)
	}
	return names
}

// NameOf returns the name of a built-in policy, or "" if p is none.
func NameOf(p Policy) string {
	for _, b := range builtin {
		if b.policy == p {
			return b.name
		}
	}
	return ""
}
