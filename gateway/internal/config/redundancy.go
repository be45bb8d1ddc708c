package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weir-lb/weir/internal/form"
)

// service holds what Consul is asked for to its rules, and fills in what failover leaves to it.
func (c *checker) service(s *Service, path string) {
	if s.Query != "" {
		if s.Service != "" || s.Filter != "" || s.Datacenter != "" || s.RequireCheck || len(s.Failover) > 0 {
			c.fail(path+".query", form.Quote(s.Query)+" and other keys", "nothing beside it: the prepared query says it all")
		}
		return
	}
	if !c.require(s.Service, path+".service", "the name of a service") {
		return
	}
	if len(s.Failover) > MaxFailover {
		c.fail(path+".failover", fmt.Sprintf("%d places", len(s.Failover)), fmt.Sprintf("at most %d", MaxFailover))
	}
	seen := map[Failover]string{{c.datacenter(s.Datacenter), s.Service, s.Filter}: path}
	for i := range s.Failover {
		f, at := &s.Failover[i], form.Item(path+".failover", i)
		f.Service = cmp.Or(f.Service, s.Service)
		if _, named := c.places[at+".filter"]; !named {
			f.Filter = s.Filter
		}
		key := Failover{c.datacenter(cmp.Or(f.Datacenter, s.Datacenter)), f.Service, f.Filter}
		switch first := seen[key]; first {
		case "":
			seen[key] = at
		case path:
			c.fail(at, "the same datacenter, service and filter as the cluster itself", "another place to fail over to")
		default:
			c.fail(at, "the same datacenter, service and filter as "+first, "each place once")
		}
	}
}

func (c *checker) datacenter(name string) string { return cmp.Or(name, c.Consul.Datacenter) }

// redundancy holds to its rules what stands by for what.
func (c *checker) redundancy(k *Cluster, path string) {
	c.tiers(k, path)
	r := k.Redundancy
	marked := 0
	for i, e := range k.Endpoints {
		if !e.Spare {
			continue
		}
		marked++
		at := form.Item(path+".endpoints", i) + ".spare"
		switch {
		case r == nil || r.Mode != "n+1":
			c.fail(at, "true without redundancy.mode n+1", "both or neither")
		case e.Tier > 0:
			c.fail(at, fmt.Sprintf("true in tier %d", e.Tier), "spares in tier 0: the other tiers get what it and its spares cannot bear")
		}
	}
	if r == nil {
		return
	}
	path += ".redundancy"
	if r.Mode != "n+1" {
		if r.Spares != 0 {
			c.fail(path+".spares", fmt.Sprintf("%d with mode %s", r.Spares, r.Mode), "mode n+1")
		}
		if r.Need != 0 {
			c.fail(path+".need", fmt.Sprintf("%d with mode %s", r.Need, r.Mode), "mode n+1")
		}
	}
	if r.Mode != "tiers" && k.Subset != nil {
		c.fail(path+".mode", r.Mode+" and subset", "one of them: gateways with other subsets would have other endpoints stand by")
	}
	if r.Mode == "1+1" {
		c.oneActive(k, path)
	}
	if r.Mode == "n+1" && len(k.Endpoints) > 0 {
		c.spares(k, r, marked, path)
	}
}

// tiers demands that static endpoints leave no tier empty below one that is used.
func (c *checker) tiers(k *Cluster, path string) {
	for i, e := range k.Endpoints {
		for below := range e.Tier {
			if !slices.ContainsFunc(k.Endpoints, func(o Endpoint) bool { return o.Tier == below }) {
				c.fail(form.Item(path+".endpoints", i)+".tier", fmt.Sprintf("%d, and tier %d without endpoints", e.Tier, below), "no tier left out")
				return
			}
		}
	}
}

func (c *checker) oneActive(k *Cluster, path string) {
	if k.Spill > 0 {
		c.fail(path+".mode", "1+1 and spill", "one of them: one endpoint gets all requests, or tiers share them")
	}
	if k.Panic > 0 {
		c.fail(path+".mode", "1+1 and panic", "one of them: in a panic all endpoints get requests")
	}
	if n := len(k.Endpoints); n == 1 {
		c.fail(path+".mode", "1+1 with 1 endpoint", "at least 2")
	}
}

// spares holds the number of spares, and what is needed, to the endpoints that there are.
func (c *checker) spares(k *Cluster, r *Redundancy, marked int, path string) {
	first, weight := 0, 0
	for _, e := range k.Endpoints {
		weight += e.Weight
		if e.Tier == 0 {
			first++
		}
	}
	switch {
	case marked > 0 && r.Spares > 0:
		c.fail(path+".spares", fmt.Sprintf("%d, and %d endpoints that are marked as spares", r.Spares, marked), "one of them")
	case marked+r.Spares == 0:
		c.fail(path+".spares", "none, and no endpoint that is marked as a spare", "at least one")
	case r.Spares >= first:
		c.fail(path+".spares", fmt.Sprintf("%d of %d endpoints in tier 0", r.Spares, first), "fewer, so that one at least serves")
	case marked == first:
		c.fail(path+".mode", fmt.Sprintf("n+1 with %d endpoints in tier 0, all of them spares", first), "at least one that is none")
	}
	if r.Need > weight {
		c.fail(path+".need", fmt.Sprint(r.Need), fmt.Sprintf("at most the weight of all endpoints, %d", weight))
	}
}
