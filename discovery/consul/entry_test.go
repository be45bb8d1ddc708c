package consul

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/discovery"
)

// parse reads an answer's body as the client does.
func (rd reading) parse(t testing.TB, text string) ([]discovery.Instance, error) {
	t.Helper()
	var entries []entry
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return rd.instances(entries)
}

func one(t *testing.T, rd reading, text string) discovery.Instance {
	t.Helper()
	list, err := rd.parse(t, "["+text+"]")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d instances, error %v, want one instance of %s", len(list), err, text)
	}
	return list[0]
}

func TestEntryStatus(t *testing.T) {
	for _, c := range []struct {
		name, checks string
		require      bool
		want         discovery.Status
	}{
		{name: "without checks passes", want: discovery.Passing},
		{name: "with the node's check alone passes", checks: "serfHealth passing", want: discovery.Passing},
		{
			name: "with the node's check alone is not enough if one is required", checks: "serfHealth passing", require: true,
			want: discovery.Critical,
		},
		{
			name: "with a check of its own is enough if one is required", checks: "serfHealth passing, service:a passing",
			require: true, want: discovery.Passing,
		},
		{name: "is the worst of all", checks: "a passing, b warning, c passing", want: discovery.Warning},
		{name: "is the worst of all, in any order", checks: "a critical, b warning", want: discovery.Critical},
		{name: "of a dead node is critical", checks: "serfHealth critical, a passing", want: discovery.Critical},
		{name: "that is unknown is critical", checks: "a confused", want: discovery.Critical},
		{name: "that is blank is critical", checks: "a ", want: discovery.Critical},
		{name: "of a node in maintenance", checks: "_node_maintenance critical, a passing", want: discovery.Maintenance},
		{name: "of a service in maintenance", checks: "a critical, _service_maintenance:a critical", want: discovery.Maintenance},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &entry{}
			for check := range strings.SplitSeq(c.checks, ", ") {
				if id, status, ok := strings.Cut(check, " "); ok {
					e.Checks = append(e.Checks, struct{ CheckID, Status string }{id, status})
				}
			}
			if got := (reading{requireCheck: c.require}).status(e); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestEntryAddress(t *testing.T) {
	const node = `"Node": {"ID": "n", "Address": "10.0.0.1", "Datacenter": "dc2", "TaggedAddresses": {"wan": "192.0.2.1"}}`
	for _, c := range []struct{ name, ours, service, want string }{
		{"is the instance's own", "", `"Address": "10.0.0.9", "Port": 80`, "10.0.0.9:80"},
		{"is the node's if it has none", "", `"Port": 80`, "10.0.0.1:80"},
		{"in version 6 has brackets", "", `"Address": "::1", "Port": 80`, "[::1]:80"},
		{
			"in our datacenter is local", "dc2", `"Port": 80, "TaggedAddresses": {"wan": {"Address": "192.0.2.9", "Port": 8}}`,
			"10.0.0.1:80",
		},
		{
			"in another datacenter is the WAN's", "dc1",
			`"Address": "10.0.0.9", "Port": 80, "TaggedAddresses": {"wan": {"Address": "192.0.2.9", "Port": 8080}}`, "192.0.2.9:8080",
		},
		{
			"in another datacenter may lack a port of the WAN", "dc1",
			`"Port": 80, "TaggedAddresses": {"wan": {"Address": "192.0.2.9"}}`, "192.0.2.9:80",
		},
		{"in another datacenter may be the node's in the WAN", "dc1", `"Port": 80`, "192.0.2.1:80"},
		{"in another datacenter without a WAN address is its own", "dc1", `"Address": "10.0.0.9", "Port": 80`, "10.0.0.9:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := one(t, reading{datacenter: c.ours}, `{`+node+`, "Service": {"ID": "a", `+c.service+`}}`)
			if in.Address != c.want {
				t.Errorf("got %q, want %q", in.Address, c.want)
			}
		})
	}
}

func TestEntryAttributes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         func(discovery.Instance) bool
	}{
		{"weights follow the status", `"Service": {"ID": "a", "Port": 1, "Weights": {"Passing": 7, "Warning": 2}},
			"Checks": [{"Status": "warning"}]`, func(in discovery.Instance) bool { return in.Weight == 2 }},
		{"weights are kept while it is critical", `"Service": {"ID": "a", "Port": 1, "Weights": {"Passing": 7, "Warning": 2}},
			"Checks": [{"Status": "critical"}]`, func(in discovery.Instance) bool { return in.Weight == 7 }},
		{
			"a weight of zero takes no new requests", `"Service": {"ID": "a", "Port": 1, "Weights": {"Passing": 0}}`,
			func(in discovery.Instance) bool { return in.Weight == 0 },
		},
		{
			"weights are bounded", `"Service": {"ID": "a", "Port": 1, "Weights": {"Passing": 99999999}}`,
			func(in discovery.Instance) bool { return in.Weight == 65535 },
		},
		{
			"weights are not negative", `"Service": {"ID": "a", "Port": 1, "Weights": {"Passing": -1}}`,
			func(in discovery.Instance) bool { return in.Weight == 0 },
		},
		{
			"locality wins over metadata", `"Service": {"ID": "a", "Port": 1, "Locality": {"Zone": "l"}, "Meta": {"zone": "m"}}`,
			func(in discovery.Instance) bool { return in.Zone == "l" },
		},
		{
			"tiers end at 3", `"Service": {"ID": "a", "Port": 1, "Meta": {"tier": "9"}}`,
			func(in discovery.Instance) bool { return in.Tier == 3 },
		},
		{
			"a tier that is no number is the first", `"Service": {"ID": "a", "Port": 1, "Meta": {"tier": "gold"}}`,
			func(in discovery.Instance) bool { return in.Tier == 0 },
		},
		{
			"canary may be a tag", `"Service": {"ID": "a", "Port": 1, "Tags": ["canary"]}`,
			func(in discovery.Instance) bool { return in.Canary && !in.Spare },
		},
		{
			"canary may be metadata", `"Service": {"ID": "a", "Port": 1, "Meta": {"canary": "true", "spare": "1"}}`,
			func(in discovery.Instance) bool { return in.Canary && in.Spare },
		},
		{
			"canary may be denied", `"Service": {"ID": "a", "Port": 1, "Meta": {"canary": "false"}}`,
			func(in discovery.Instance) bool { return !in.Canary },
		},
		{
			"metadata of the node has a prefix", `"Service": {"ID": "a", "Port": 1, "Meta": {"k": "s"}}`,
			func(in discovery.Instance) bool {
				return maps.Equal(in.Meta, map[string]string{"k": "s", "node.k": "n"})
			},
		},
		{
			"what is null is nothing", `"Service": {"ID": "a", "Port": 1, "Tags": null, "Meta": null, "Weights": null}, "Checks": null`,
			func(in discovery.Instance) bool { return in.Weight == 1 && in.Tags == nil },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := one(t, reading{}, `{"Node": {"Node": "host", "Address": "h", "Meta": {"k": "n"}}, `+c.text+`}`)
			if !c.ok(in) {
				t.Errorf("got %+v", in)
			}
			if in.ID != "host/a" {
				t.Errorf("ID %q, want that of the node's name, for it has no ID", in.ID)
			}
		})
	}
}

func TestEntriesThatCannotBeUsedHideNoOther(t *testing.T) {
	list, err := reading{}.parse(t, `[
		{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "z", "Port": 1}},
		{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "a", "Port": 70000}},
		{"Node": {"ID": "n"}, "Service": {"ID": "b", "Port": 1}},
		{"Node": {}, "Service": {"ID": "c", "Port": 1}},
		{"Node": {"ID": "n", "Address": "h"}, "Service": {"ID": "z", "Port": 2}},
		{"Node": {"ID": "m", "Address": "h"}, "Service": {"ID": "z", "Port": 3}}]`)
	var got []string
	for _, in := range list {
		got = append(got, in.ID+" "+in.Address)
	}
	if want := []string{"m/z h:3", "n/z h:1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "4 entries left out: ") {
		t.Errorf("error %v, want one about 4 entries", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"Node": {"ID": "n", "Address": "h", "Datacenter": "d", "TaggedAddresses": {"wan": "w"}},
		"Service": {"ID": "a", "Port": 80, "Tags": ["canary"], "Weights": {"Passing": 1, "Warning": 0}, "Meta": {"tier": "1"}},
		"Checks": [{"CheckID": "_node_maintenance", "Status": "critical"}]}]`))
	f.Add([]byte(`[{}, {"Node": null}, null]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var entries []entry
		if json.Unmarshal(text, &entries) != nil {
			return
		}
		for _, rd := range []reading{{}, {datacenter: "x", requireCheck: true}} {
			list, err := rd.instances(entries)
			if len(list) < len(entries) && err == nil {
				t.Errorf("%d of %d entries without an error", len(list), len(entries))
			}
			for i, in := range list {
				if i > 0 && list[i-1].ID >= in.ID {
					t.Errorf("%q before %q, want each once and in order", list[i-1].ID, in.ID)
				}
				if in.Weight < 0 || in.Weight > 65535 || in.Tier > 3 || in.Status > discovery.Maintenance || in.Address == "" {
					t.Errorf("out of range: %+v", in)
				}
			}
		}
	})
}
