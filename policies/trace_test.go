package policies

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"
)

const traceKeys = 100_000

// traceTable is the fleet of the recorded trace: twenty endpoints with names and weights, in the order of their names, as
// tables are.
func traceTable(without string) *Table {
	t := &Table{Gen: 1}
	weights := []uint32{1, 1, 2, 5, 10}
	for i := range 20 {
		id := fmt.Sprintf("node-%c/web-%d", 'a'+i/5, i%5)
		if id != without {
			t.Endpoints = append(t.Endpoints, &Endpoint{ID: id, IDHash: xxhash.Sum64String(id), Weight: weights[i%5], State: NewState(Up)})
		}
	}
	return t
}

// trace returns the name of the endpoint that each key goes to. Keys are hashed as a gateway does.
func trace(t *testing.T, p Policy, table *Table) []string {
	t.Helper()
	pk, err := p.Build(table)
	if err != nil {
		t.Fatal(err)
	}
	v := NewView(table, 1, false, allUp)
	at := make([]string, traceKeys)
	for k := range at {
		r := Request{Flags: HasKey, KeyHash: xxhash.Sum64String(fmt.Sprintf("user-%06d", k))}
		at[k] = table.Endpoints[pk.Pick(&r, v)].ID
	}
	return at
}

// digest is the sha256 of a trace, each name with its length before it.
func digest(at []string) string {
	h := sha256.New()
	for _, id := range at {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(id))))
		h.Write([]byte(id))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recorded is where 100,000 keys go. A release that changes a line moves the keys of everybody who upgrades, gateway by
// gateway: it says so in the changelog, and has a reason.
var recorded = map[Policy]struct {
	all, less   string // digests: of all endpoints, and without node-b/web-3 of weight 5, which is 6.6 % of the weight
	moved, more int    // keys of the endpoint that left, and others that moved
}{
	BoundedHash{}: { // nothing is in flight: as ring_hash
		"6af12333356d55984b1d1e851141a2a54efc874a6988555d9f6a2c71b6b4779e",
		"94fa42fcbda4854dd8a837ef05b1053a1da241000d59d2bdfb4e0804cebb45ae", 6920, 0,
	},
	JumpHash{}: { // one in the middle leaves
		"caa40a0918e72e1ce154633daab9de49539989feccd99f112b24ced363301816",
		"a9eb5c91a4e66068e43ec0c02ee19085b4907b2ba8435bec8d4f8e7f4e0e98df", 5099, 54567,
	},
	Maglev{}: {
		"086cfd8584ebd975eeb640bf4d90b353ff23ad5eded91bb19514e3ed5126233e",
		"684a131c6c93091ff224c6fa1247e0dc6eddc2bea89e6689f9ca8b82fbbb89f6", 6634, 355,
	},
	Rendezvous{}: {
		"df8bfb0bf8b6ab7001e6e3d797150ee63ff40139ab44f4e350b93fa9d92fd889",
		"5f0e7cacd7932021f571f69edc33fcad5e844c68727b0d564da678f979deb291", 6511, 0,
	},
	RingHash{}: {
		"6af12333356d55984b1d1e851141a2a54efc874a6988555d9f6a2c71b6b4779e",
		"94fa42fcbda4854dd8a837ef05b1053a1da241000d59d2bdfb4e0804cebb45ae", 6920, 0,
	},
}

func TestKeysGoWhereTheyWentInEarlierReleases(t *testing.T) {
	for policy, c := range recorded {
		t.Run(NameOf(policy), func(t *testing.T) {
			const gone = "node-b/web-3"
			all, less := trace(t, policy, traceTable("")), trace(t, policy, traceTable(gone))
			if got := digest(all); got != c.all {
				t.Errorf("digest %s, want %s", got, c.all)
			}
			if got := digest(less); got != c.less {
				t.Errorf("digest %s without %s, want %s", got, gone, c.less)
			}
			moved, more := 0, 0
			for k, id := range all {
				switch {
				case id == gone:
					moved++
				case id != less[k]:
					more++
				}
			}
			if moved != c.moved || more != c.more {
				t.Errorf("%s left and %d keys of its own moved, and %d others; want %d and %d", gone, moved, more, c.moved, c.more)
			}
		})
	}
	t.Run("every policy that hashes is here", func(t *testing.T) {
		for _, b := range builtin {
			pk, err := b.policy.Build(traceTable(""))
			if err != nil {
				t.Fatal(err)
			}
			v := NewView(traceTable(""), 1, false, allUp)
			places := map[int]bool{}
			for x := range uint64(200) { // the same key, and other chances
				places[pk.Pick(&Request{Flags: HasKey, KeyHash: 1, Rand: x * 0x9e3779b97f4a7c15}, v)] = true
			}
			hashes := len(places) == 1 && b.name != "first"
			if _, listed := recorded[b.policy]; hashes != listed {
				t.Errorf("%s: hashes keys is %t, listed is %t", b.name, hashes, listed)
			}
		}
	})
}
