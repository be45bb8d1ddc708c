package consul

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/discovery/consul/agent"
)

// where names the instances of a state, with the place each is from.
func where(s discovery.State) string {
	var names []string
	for _, in := range s.Instances {
		names = append(names, fmt.Sprintf("%s@%s:%d", in.Name, in.Datacenter, in.Failover))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestFailoverAcrossDatacenters has two real datacenters.
func TestFailoverAcrossDatacenters(t *testing.T) {
	one := start(t, agent.Options{Config: []string{`node_name = "one"`}})
	two := start(t, agent.Options{Config: []string{`datacenter = "dc2"`, `node_name = "two"`}})
	must(t, one.JoinWAN(t.Context(), two))
	register(t, one, "a", "b")
	register(t, two, "c")
	c := client(t, Options{Address: one.Addr(), Define: 50 * time.Millisecond, MaxBackoff: 100 * time.Millisecond})
	found := func(want string) func(discovery.State) bool {
		return func(s discovery.State) bool { return where(s) == want && s.Err == nil }
	}

	t.Run("places_are_watched_together_and_told_apart", func(t *testing.T) {
		r := watching(t, c.Places([]Query{{Service: "web"}, {Service: "web", Datacenter: "dc2"}}))
		s := r.until(t, "all three", found("a@dc1:0 b@dc1:0 c@dc2:1")).State
		for _, in := range s.Instances {
			if strings.HasPrefix(in.ID, "dc2/") != (in.Failover == 1) {
				t.Errorf("instance %q of place %d, want its datacenter before its ID where that is another", in.ID, in.Failover)
			}
		}
		register(t, two, "d")
		r.until(t, "what comes elsewhere", found("a@dc1:0 b@dc1:0 c@dc2:1 d@dc2:1"))
		must(t, two.Deregister(t.Context(), "d"))
		last := r.until(t, "what goes elsewhere", found("a@dc1:0 b@dc1:0 c@dc2:1")).State

		again := c.Places([]Query{{Service: "web"}, {Service: "web", Datacenter: "dc2"}}).From(last).(*Places)
		if got := where(placed(again.known, 1)); got != "c@dc2:0" {
			t.Errorf("a source that goes on knows %q of the other place, want c", got)
		}
	})
	t.Run("a_datacenter_that_nobody_knows_is_told_of_and_takes_nothing", func(t *testing.T) {
		r := watching(t, c.Places([]Query{{Service: "web"}, {Service: "web", Datacenter: "dc9"}}))
		s := r.until(t, "the mistake", func(s discovery.State) bool { return s.Err != nil && where(s) == "a@dc1:0 b@dc1:0" }).State
		p, ok := errors.AsType[*Problem](s.Err)
		if !ok || p.Kind != UnknownDatacenter || !strings.Contains(p.Error(), `got "dc9", want one of dc1, dc2`) {
			t.Errorf("error %v, want that dc9 is unknown and dc1 and dc2 are not", s.Err)
		}
	})
	t.Run("a_prepared_query_says_where_instances_are", func(t *testing.T) {
		must(t, one.Register(t.Context(), agent.Service{ID: "e", Name: "web", Port: 80, Tags: []string{"old"}}))
		defer func() { must(t, one.Deregister(t.Context(), "e")) }()
		q := &api.PreparedQueryDefinition{Name: "geo", Service: api.ServiceQuery{Service: "web", Tags: []string{"!old"}}}
		id, _, err := c.api.PreparedQuery().Create(q, nil)
		must(t, err)
		r := watching(t, c.Prepared("geo"))
		r.until(t, "those without the tag", found("a@dc1:0 b@dc1:0"))
		q.ID, q.Service.Failover.NearestN = id, 2
		_, err = c.api.PreparedQuery().Update(q, nil)
		must(t, err)
		r.until(t, "the nearest other datacenter", found("a@dc1:0 b@dc1:0 c@dc2:1"))
		must(t, one.Fail(t.Context(), "b"))
		r.until(t, "changes at once", func(s discovery.State) bool {
			return slices.ContainsFunc(s.Instances, func(in discovery.Instance) bool { return in.Name == "b" && in.Status == discovery.Critical })
		})
		must(t, one.Pass(t.Context(), "b"))
	})
	t.Run("one_that_is_not_there_is_an_error", func(t *testing.T) {
		r := watching(t, c.Prepared("nope"))
		s := r.until(t, "the error", func(s discovery.State) bool { return s.Err != nil }).State
		if s.Origin != discovery.OriginNone || !strings.Contains(s.Err.Error(), `prepared query "nope"`) {
			t.Errorf("%v, %v: want nothing known, and the name of the query", s.Origin, s.Err)
		}
	})
}

// TestPlacesWaitForTheFirst holds that nothing is published before the place where instances belong has answered: all
// requests would go elsewhere for a moment.
func TestPlacesWaitForTheFirst(t *testing.T) {
	s := script(t)
	c := client(t, Options{Address: s.URL})
	r := watching(t, c.Places([]Query{{Service: "web"}, {Service: "static"}}))
	var first call
	for range 2 {
		q := <-s.calls
		if q.path == "/v1/health/service/web" {
			first = q
			continue
		}
		q.reply <- list(7, "z")
	}
	(<-s.calls).reply <- status(http.StatusInternalServerError, "no") // of the place that has answered
	if got := r.all(); len(got) > 0 {
		t.Fatalf("published %q before the first place answered", where(got[0].State))
	}
	first.reply <- list(5, "a")
	r.until(t, "both", func(s discovery.State) bool {
		return len(s.Instances) == 2 && s.Instances[0].Failover+s.Instances[1].Failover == 1
	})
}

func TestPreparedQueriesBecomeFilters(t *testing.T) {
	for _, c := range []struct {
		d    definition
		want string
	}{
		{definition{}, ""},
		{definition{Tags: []string{"a", "!b"}}, "`a` in Service.Tags and `b` not in Service.Tags"},
		{definition{ServiceMeta: map[string]string{"v": "2"}, NodeMeta: map[string]string{"rack": "`7"}}, "Node.Meta[`rack`] == \"`7\" and Service.Meta[`v`] == `2`"},
	} {
		if got := c.d.filter(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.d, got, c.want)
		}
	}
}
