package policies

import (
	"fmt"
	"slices"
	"testing"
)

// TestMaglevPaper is table 1 of the paper: three endpoints, seven slots, offsets and skips as printed.
func TestMaglevPaper(t *testing.T) {
	seats := func() []maglevSeat {
		return []maglevSeat{{0, 1, 3, 4, 0}, {1, 1, 0, 2, 0}, {2, 1, 3, 1, 0}}
	}
	if got, want := fillMaglev(seats(), 7), []uint32{1, 0, 1, 0, 2, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("the table is %v, want %v", got, want)
	}
	without := slices.Delete(seats(), 1, 2)
	if got, want := fillMaglev(without, 7), []uint32{0, 0, 0, 0, 2, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("without the second the table is %v, want %v", got, want)
	}
}

func TestMaglevSharesAreExactToOneSlot(t *testing.T) {
	for _, c := range []struct {
		n    int
		size uint32
	}{{1000, maglevSize}, {1000, maglevLarge}, {3, maglevSize}} {
		tab := &Table{}
		for i := range c.n {
			g := splitmix(i)
			tab.Endpoints = append(tab.Endpoints, &Endpoint{IDHash: g.next(), Weight: 7})
		}
		var seats []maglevSeat
		for i, e := range tab.Endpoints {
			g := splitmix(e.IDHash)
			seats = append(seats, maglevSeat{uint32(i), e.Weight, uint32(g.next() % uint64(c.size)), uint32(g.next()%uint64(c.size-1)) + 1, 0})
		}
		count := make([]uint32, c.n)
		for _, i := range fillMaglev(seats, c.size) {
			count[i]++
		}
		low := c.size / uint32(c.n)
		if least, most := slices.Min(count), slices.Max(count); least != low || most != low+1 {
			t.Errorf("%d endpoints in %d slots have %d to %d each, want %d or %d", c.n, c.size, least, most, low, low+1)
		}
	}
}

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
