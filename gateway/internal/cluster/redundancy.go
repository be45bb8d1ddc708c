package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Redundancy says who stands by for whom.
type Redundancy struct {
	policies.Redundancy
	// Spares is how many of the most preferred endpoints are spares, the last ones by ID, where discovery marks none.
	Spares int
}

// place returns instances with what follows from their being used together: instances elsewhere come in tiers after all
// those that are here, and some are spares.
func (s *Settings) place(instances []discovery.Instance) []discovery.Instance {
	elsewhere := slices.ContainsFunc(instances, func(in discovery.Instance) bool { return in.Failover > 0 })
	spares := 0
	if s.Redundancy != nil {
		spares = s.Redundancy.Spares
	}
	if !elsewhere && spares == 0 || len(instances) == 0 {
		return instances
	}
	out := slices.Clone(instances)
	first, last, marked := uint8(255), uint8(0), false
	for _, in := range out {
		if in.Failover == 0 {
			first, last = min(first, in.Tier), max(last, in.Tier)
			marked = marked || in.Spare
		}
	}
	for i := range slices.Backward(out) {
		in := &out[i]
		switch {
		case in.Failover > 0:
			in.Tier = last + in.Failover
		case !marked && in.Tier == first && spares > 0:
			in.Spare = true
			spares--
		}
	}
	return out
}

// standby is what a cluster knows of its redundancy, guarded by its lock.
type standby struct {
	reserve policies.Reserve
	begun   bool // reserve has taken its first step
	shares  [4]policies.Share
	moves   uint64
	last    time.Time // of the moves
	detail  string
}

// stand takes what the endpoints of s can bear now, and reports whether that changes what they stand for. The caller holds mu.
func (c *Cluster) stand(s *Snapshot, now time.Time) bool {
	d := c.settings.Redundancy
	if d == nil || len(s.Endpoints) == 0 && !c.standby.begun {
		c.standby = standby{}
		return false
	}
	c.standby.begun = true
	capacity := c.capacities(s, now)
	members := make([]policies.Member, len(s.Endpoints))
	for i, e := range s.Endpoints {
		members[i] = policies.Member{
			Num: e.num, Tier: e.instance.Tier, Spare: e.instance.Spare, Weight: float64(instanceWeight(e.instance)), Capacity: capacity[i],
		}
	}
	moves, changed := c.standby.reserve.Step(now, d.Redundancy, members)
	if len(moves) > 0 {
		c.moved(now, c.describe(d, moves, s))
	}
	return changed
}

// capacities says what each endpoint of s can bear now, in the unit of its instance's weight: 0 if it is not up.
func (c *Cluster) capacities(s *Snapshot, now time.Time) []float64 {
	out := make([]float64, len(s.Endpoints))
	for i, e := range s.Endpoints {
		if e.effective.Health() != policies.Down {
			out[i] = float64(instanceWeight(e.instance)) * c.share(e, now)
		}
	}
	return out
}

// divide says how requests are to be divided among the endpoints of s, whose view is new. The caller holds mu.
func (c *Cluster) divide(s *Snapshot) policies.Split {
	split := c.settings.Split
	split.Barred = func(i int) bool { return s.Endpoints[i].barred() }
	d := c.settings.Redundancy
	if d == nil {
		return split
	}
	r := &c.standby.reserve
	if d.Mode != policies.ByTier {
		split.Held = func(i int) bool { return r.Held(s.Endpoints[i].num) }
	}
	if d.Mode == policies.OneActive {
		return split
	}
	// Weights in a table have a scale of their own.
	table, instances := 0.0, 0.0
	scale := make([]float64, len(s.Endpoints))
	now := time.Now()
	for i, e := range s.Endpoints {
		w := float64(instanceWeight(e.instance))
		table += float64(s.Table.Endpoints[i].Weight)
		instances += w
		if bears := w * c.share(e, now); bears > 0 {
			scale[i] = float64(s.Table.Endpoints[i].Weight) / bears
		}
	}
	split.Counts = func(i int) float64 { return r.Counts(s.Endpoints[i].num) * scale[i] }
	if instances > 0 {
		split.Need = r.Need(d.Redundancy) * table / instances
	}
	return split
}

// tellShares tells which tiers get traffic, when others begin or cease to. The caller holds mu.
func (c *Cluster) tellShares(s *Snapshot, split policies.Split) {
	d := c.settings.Redundancy
	if d == nil || d.Mode == policies.OneActive || len(s.Endpoints) == 0 {
		return
	}
	was, first := c.standby.shares, c.standby.shares == [4]policies.Share{}
	c.standby.shares = split.Shares(s.View)
	differs := false
	var parts []string
	for tier, share := range c.standby.shares {
		differs = differs || (share.Part > 0) != (was[tier].Part > 0)
		if share.Part > 0 {
			parts = append(parts, fmt.Sprintf("%s gets %.0f%%", s.tierName(tier), 100*share.Part))
		}
	}
	if differs && !first {
		c.moved(time.Now(), strings.Join(parts, ", "))
	}
}

// tierName is how people call a tier: by its datacenter if it is another one.
func (s *Snapshot) tierName(tier int) string {
	name := fmt.Sprintf("tier %d", tier)
	for _, e := range s.Endpoints {
		if int(e.instance.Tier) == tier && e.instance.Failover > 0 {
			return fmt.Sprintf("%s (datacenter %s)", name, e.instance.Datacenter)
		}
	}
	return name
}

func (c *Cluster) moved(now time.Time, detail string) {
	c.standby.moves++
	c.standby.last, c.standby.detail = now, detail
	c.log.Warn("redundancy", "detail", detail)
	if c.settings.Moved != nil {
		c.settings.Moved(detail)
	}
}

func (c *Cluster) describe(d *Redundancy, moves []policies.Move, s *Snapshot) string {
	name := func(num uint32) string {
		for _, e := range s.Endpoints {
			if e.num == num {
				return e.ID
			}
		}
		return "an endpoint that is gone"
	}
	if d.Mode == policies.OneActive {
		if moves[0].Back {
			return fmt.Sprintf("traffic goes back to %s from %s", name(moves[0].Num), name(moves[1].Num))
		}
		return fmt.Sprintf("%s takes over from %s", name(moves[0].Num), name(moves[1].Num))
	}
	var parts []string
	for _, m := range moves {
		if m.In {
			parts = append(parts, "spare "+name(m.Num)+" comes into service")
		} else {
			parts = append(parts, "spare "+name(m.Num)+" is in reserve again")
		}
	}
	return strings.Join(parts, ", ")
}

// FailBack lets traffic go back to preferred endpoints that are up, whatever their hold and fail_back say.
func (c *Cluster) FailBack() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settings.Redundancy == nil {
		return fmt.Errorf("cluster %q: traffic goes back by itself; set clusters.%s.redundancy", c.name, c.name)
	}
	c.standby.reserve.FailBack()
	c.publishView("operator")
	return nil
}

// RedundancyStatus answers whether one more failure could be borne.
type RedundancyStatus struct {
	Mode  string `json:"mode"`  // tiers, 1+1, n+1
	State string `json:"state"` // redundant (whichever endpoint fails next, the others bear what is needed), exposed, short
	// Satisfied is whether N+1 holds now: whether State is redundant.
	Satisfied bool        `json:"satisfied"`
	Need      float64     `json:"need"`     // in the unit of weights; with 1+1 in endpoints
	Capacity  float64     `json:"capacity"` // of all that could serve now, in the same unit
	Largest   float64     `json:"largest"`  // the most that one failure would cost of it
	InService []string    `json:"in_service"`
	Standby   []string    `json:"standby"` // up, and held in reserve
	Tiers     []TierShare `json:"tiers,omitempty"`
	Moves     uint64      `json:"moves"`
	LastMove  time.Time   `json:"last_move,omitzero"`
	Detail    string      `json:"last_move_detail,omitempty"`
}

// TierShare is what a tier gets of the traffic.
type TierShare struct {
	Tier       int     `json:"tier"`
	Datacenter string  `json:"datacenter,omitempty"` // if it is elsewhere
	Share      float64 `json:"share"`                // 0..1
}

// redundancyStatus describes what is held in reserve. The caller holds mu.
func (c *Cluster) redundancyStatus(s *Snapshot) *RedundancyStatus {
	d := c.settings.Redundancy
	if d == nil {
		return nil
	}
	cover := c.standby.reserve.Cover()
	out := &RedundancyStatus{
		Mode: d.Mode.String(), State: cover.State().String(), Satisfied: cover.State() == policies.Redundant,
		Need: cover.Need, Capacity: cover.Capacity, Largest: cover.Largest, InService: []string{}, Standby: []string{},
		Moves: c.standby.moves, LastMove: c.standby.last, Detail: c.standby.detail,
	}
	seen := map[int]string{}
	for i, e := range s.Endpoints {
		tier := min(int(e.instance.Tier), len(c.standby.shares)-1)
		if e.instance.Failover > 0 {
			seen[tier] = e.instance.Datacenter
		} else if seen[tier] == "" {
			seen[tier] = ""
		}
		switch {
		case !s.View.Usable(i):
		case c.standby.reserve.Held(e.num) || d.Mode != policies.OneActive && c.standby.shares[tier].Part == 0:
			out.Standby = append(out.Standby, e.ID)
		default:
			out.InService = append(out.InService, e.ID)
		}
	}
	if d.Mode != policies.OneActive {
		for tier, share := range c.standby.shares {
			if dc, ok := seen[tier]; ok {
				out.Tiers = append(out.Tiers, TierShare{Tier: tier, Datacenter: dc, Share: share.Part})
			}
		}
	}
	return out
}
