package certs

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// endpointOf serves a certificate of d for a name, and wants one of d from clients if that is guarded.
func (d *desk) endpoint(name string, guarded bool) string {
	d.t.Helper()
	pair, err := tls.X509KeyPair(d.Issue(d.t, named(name)))
	must(d.t, err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if guarded {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, d.Pool
	}
	return listen(d.t, config)
}

func clusterOf(t testing.TB, s *Store, spec ClusterSpec) *Cluster {
	t.Helper()
	spec.Path, spec.MinVersion = "of", tls.VersionTLS12
	next, problems := s.Prepare(Spec{Clusters: map[string]ClusterSpec{"web": spec}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s.Commit(next)
	return next.Cluster("web")
}

// TestEndpointsAreVerified holds that no setting makes a connection to whoever answers.
func TestEndpointsAreVerified(t *testing.T) {
	d, foreign := newDesk(t), newDesk(t)
	own := d.issue("own", gatewaytest.Leaf{Common: "gateway"})
	for name, tc := range map[string]struct {
		endpoint string
		spec     ClusterSpec
		host     string // of the endpoint's address
		want     string // of the error
	}{
		"its_name":                    {d.endpoint("a.example", false), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"}, "", ""},
		"the_name_in_its_address":     {d.endpoint("a.example", false), ClusterSpec{CA: d.file("ca.pem")}, "a.example", ""},
		"server_name_wins":            {d.endpoint("a.example", false), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"}, "b.example", ""},
		"another_name":                {d.endpoint("b.example", false), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"}, "", "not a.example"},
		"another_name_in_its_address": {d.endpoint("b.example", false), ClusterSpec{CA: d.file("ca.pem")}, "a.example", "not a.example"},
		"an_address":                  {d.endpoint("127.0.0.1", false), ClusterSpec{CA: d.file("ca.pem"), ServerName: "127.0.0.1"}, "", ""},
		"another_authority":           {foreign.endpoint("a.example", false), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"}, "", "unknown authority"},
		"the_systems_authorities":     {d.endpoint("a.example", false), ClusterSpec{ServerName: "a.example"}, "", "unknown authority"},
		"who_wants_a_certificate":     {d.endpoint("a.example", true), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"}, "", "certificate required"},
		"who_gets_one":                {d.endpoint("a.example", true), ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example", Pair: own}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			address := tc.endpoint
			if tc.host != "" {
				address = tc.host + ":443"
			}
			_, err := dial(tc.endpoint, clusterOf(t, New(new(clock).now), tc.spec).Config(address)())
			if tc.want == "" {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestSessionsWithEndpointsAreResumed(t *testing.T) {
	d := newDesk(t)
	s := New(new(clock).now)
	c := clusterOf(t, s, ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example"})
	one, other := d.endpoint("a.example", false), d.endpoint("a.example", false)
	oneOf, otherOf := c.Config(one), c.Config(other)
	for i, tc := range []struct {
		address string
		config  *tls.Config
		want    bool
	}{{one, oneOf(), false}, {other, otherOf(), false}, {one, oneOf(), true}, {other, otherOf(), true}} {
		if state, err := dial(tc.address, tc.config); err != nil || state.DidResume != tc.want {
			t.Errorf("connection %d: resumed %v, %v, want %v", i, state.DidResume, err, tc.want)
		}
	}
}

// TestOnePointerWhileNothingChanges holds what a pool tells by whether a connection is of the configuration that holds now.
func TestOnePointerWhileNothingChanges(t *testing.T) {
	d := newDesk(t)
	own := d.issue("own", gatewaytest.Leaf{Common: "gateway"})
	s := New(new(clock).now)
	spec := ClusterSpec{CA: d.file("ca.pem"), ServerName: "a.example", Pair: own}
	c := clusterOf(t, s, spec)
	config := c.Config("127.0.0.1:1")
	first := config()
	s.Refresh()
	if clusterOf(t, s, spec) != c || config() != first {
		t.Error("nothing has changed, and another configuration holds")
	}
	if n := testing.AllocsPerRun(100, func() { config() }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	d.issue("own", gatewaytest.Leaf{Common: "gateway"})
	s.Refresh()
	second := config()
	d.put("ca.pem", newDesk(t).PEM)
	s.Refresh()
	third := config()
	spec.ServerName = "b.example"
	clusterOf(t, s, spec)
	if fourth := config(); first == second || second == third || third == fourth || fourth.ServerName != "b.example" {
		t.Error("a change, and the same configuration holds")
	}
	s.Commit(&Next{groups: map[key]*group{}})
	if config() == nil {
		t.Error("a cluster that is gone has endpoints in the clear")
	}
}
