package policies

import (
	"fmt"
	"testing"
)

func BenchmarkBuild(b *testing.B) {
	for _, name := range []string{"maglev", "ring_hash"} {
		for _, n := range []int{16, 1000} {
			tab := &Table{}
			for i := range n {
				g := splitmix(i)
				tab.Endpoints = append(tab.Endpoints, &Endpoint{IDHash: g.next(), Weight: uint32(1 + i%3)})
			}
			p, _ := ByName(name)
			b.Run(fmt.Sprintf("%s/endpoints=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := p.Build(tab); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
