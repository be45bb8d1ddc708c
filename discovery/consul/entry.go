package consul

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-lb/weir/discovery"
)

// Names in the metadata of a service that say what an instance is. The last two may be tags instead.
const (
	metaZone   = "zone"
	metaTier   = "tier"
	metaCanary = "canary"
	metaSpare  = "spare"

	nodePrefix = "node." // before the names of node metadata in Instance.Meta
	maxTier    = 3
	maxWeight  = 65535
)

// entry is the part of an answer's element that is used. The client's own type has much more, all of it decoded.
type entry struct {
	Node struct {
		ID, Node, Address, Datacenter string
		TaggedAddresses               map[string]string
		Meta                          map[string]string
		Locality                      *locality
	}
	Service struct {
		ID, Address     string
		Port            int
		Tags            []string
		Meta            map[string]string
		TaggedAddresses map[string]struct {
			Address string
			Port    int
		}
		Weights  *struct{ Passing, Warning int }
		Locality *locality
	}
	Checks []struct{ CheckID, Status string }
}

type locality struct{ Region, Zone string }

// reading says how entries become instances.
type reading struct {
	datacenter   string // ours; instances of any other are reached by their WAN addresses. "": all are ours
	requireCheck bool
	onlyPassing  bool
}

// instances returns what the entries of an answer say, sorted by ID. Entries that cannot be used are left out, and the
// error says which: one bad registration must not hide the others.
func (rd reading) instances(entries []entry) ([]discovery.Instance, error) {
	out := make([]discovery.Instance, 0, len(entries))
	var bad []string
	for i := range entries {
		in, err := rd.instance(&entries[i])
		if err != nil {
			bad = append(bad, err.Error())
			continue
		}
		out = append(out, in)
	}
	slices.SortStableFunc(out, func(a, b discovery.Instance) int { return cmp.Compare(a.ID, b.ID) })
	out = slices.CompactFunc(out, func(a, b discovery.Instance) bool {
		if a.ID == b.ID {
			bad = append(bad, fmt.Sprintf("instance %q is listed twice", a.ID))
		}
		return a.ID == b.ID
	})
	if bad != nil {
		return out, fmt.Errorf("%d entries left out: %s", len(bad), strings.Join(bad[:min(3, len(bad))], "; "))
	}
	return out, nil
}

func (rd reading) instance(e *entry) (discovery.Instance, error) {
	n, s := &e.Node, &e.Service
	node := cmp.Or(n.ID, n.Node) // nodes that are registered by hand may have no ID
	if node == "" || s.ID == "" {
		return discovery.Instance{}, fmt.Errorf("node %q, service ID %q: want both", node, s.ID)
	}
	in := discovery.Instance{
		ID: node + "/" + s.ID, Name: s.ID, Datacenter: n.Datacenter, Tags: slices.Clone(s.Tags), Status: rd.status(e),
		Meta: meta(s.Meta, n.Meta),
	}
	host, port := rd.address(e)
	if host == "" || port < 1 || port > 65535 {
		return discovery.Instance{}, fmt.Errorf("instance %q: address %q, port %d, want an address and a port in 1..65535",
			in.ID, host, port)
	}
	in.Address = net.JoinHostPort(host, strconv.Itoa(port))
	in.Weight = weight(e, in.Status)
	in.Zone = zone(e)
	in.Tier = tier(in.Meta)
	in.Canary = flag(s.Tags, in.Meta, metaCanary)
	in.Spare = flag(s.Tags, in.Meta, metaSpare)
	return in, nil
}

// status returns the worst of all checks of the instance and its node. A status that this version does not know counts
// as critical: the agent says something other than "use it", and to be wrong in this way costs an endpoint, not a request.
func (rd reading) status(e *entry) discovery.Status {
	st := discovery.Passing
	if rd.requireCheck && !slices.ContainsFunc(e.Checks, func(c struct{ CheckID, Status string }) bool {
		return c.CheckID != "serfHealth"
	}) {
		st = discovery.Critical
	}
	for _, c := range e.Checks {
		switch {
		case c.CheckID == "_node_maintenance" || strings.HasPrefix(c.CheckID, "_service_maintenance:") ||
			c.Status == "maintenance":
			st = max(st, discovery.Maintenance)
		case c.Status == "passing":
		case c.Status == "warning" && !rd.onlyPassing:
			st = max(st, discovery.Warning)
		default:
			st = max(st, discovery.Critical)
		}
	}
	return st
}

// address returns where the instance is reached. In another datacenter that is its WAN address, if it has one. An
// instance without an address of its own has that of its node.
func (rd reading) address(e *entry) (host string, port int) {
	n, s := &e.Node, &e.Service
	host, port = s.Address, s.Port
	if rd.datacenter != "" && n.Datacenter != "" && n.Datacenter != rd.datacenter {
		if wan, ok := s.TaggedAddresses["wan"]; ok && wan.Address != "" {
			return wan.Address, cmp.Or(wan.Port, port)
		}
		if host == "" {
			host = n.TaggedAddresses["wan"]
		}
	}
	return cmp.Or(host, n.Address), port
}

// weight returns the weight for status st: Consul's Weights.Passing, or Weights.Warning while the instance warns.
// Consul's default is 1 for both.
func weight(e *entry, st discovery.Status) int {
	w := e.Service.Weights
	switch {
	case w == nil:
		return 1
	case st == discovery.Warning:
		return min(max(w.Warning, 0), maxWeight)
	}
	return min(max(w.Passing, 0), maxWeight)
}

func zone(e *entry) string {
	for _, l := range []*locality{e.Service.Locality, e.Node.Locality} {
		if l != nil && l.Zone != "" {
			return l.Zone
		}
	}
	return cmp.Or(e.Service.Meta[metaZone], e.Node.Meta[metaZone])
}

// tier returns 0..3. Values beyond are the last tier, and what is no number is the first.
func tier(meta map[string]string) uint8 {
	n, err := strconv.Atoi(meta[metaTier])
	if err != nil {
		return 0
	}
	return uint8(min(max(n, 0), maxTier))
}

func flag(tags []string, meta map[string]string, name string) bool {
	on, _ := strconv.ParseBool(meta[name])
	return on || slices.Contains(tags, name)
}

// meta joins metadata of service and node, whose names get the prefix "node.".
func meta(service, node map[string]string) map[string]string {
	if len(service)+len(node) == 0 {
		return nil
	}
	out := make(map[string]string, len(service)+len(node))
	for k, v := range node {
		out[nodePrefix+k] = v
	}
	maps.Copy(out, service)
	return out
}
