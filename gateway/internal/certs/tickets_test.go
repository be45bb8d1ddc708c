package certs

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestSessionsAreResumed holds how long a ticket is good for, in both versions, and where.
func TestSessionsAreResumed(t *testing.T) {
	d := newDesk(t)
	pair, other := d.issue("a", named("a.example")), gatewaytest.NewAuthority(t, "other")
	both := d.put("both.pem", append(d.PEM, other.PEM...))
	guarded := of(pair)
	guarded.ClientCA = d.file("ca.pem")
	wider := guarded
	wider.ClientCA = both
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, tc := range map[string]struct {
			first, then ListenerSpec
			between     func(c *clock, s *Store)
			elsewhere   bool
			want        bool
		}{
			"at_once":                  {first: of(pair), want: true},
			"after_a_rotation":         {first: of(pair), between: func(c *clock, s *Store) { c.pass(ticketRotation); s.Refresh() }, want: true},
			"after_several":            {first: of(pair), between: func(c *clock, s *Store) { days(c, s, 20*time.Hour) }, want: true},
			"after_more_than_a_day":    {first: of(pair), between: func(c *clock, s *Store) { days(c, s, 29*time.Hour) }},
			"after_a_reload":           {first: of(pair), then: of(pair), want: true},
			"with_a_new_certificate":   {first: of(pair), between: func(_ *clock, s *Store) { d.issue("a", named("a.example")); s.Refresh() }, want: true},
			"at_another_listener":      {first: of(pair), elsewhere: true},
			"with_a_client":            {first: guarded, want: true},
			"with_other_authorities":   {first: guarded, then: wider},
			"where_none_was_needed":    {first: of(pair), then: guarded},
			"where_none_is_wanted_now": {first: guarded, then: of(pair)},
		} {
			t.Run(fmt.Sprintf("%s/%s", tls.VersionName(version), name), func(t *testing.T) {
				c := new(clock)
				s := New(c.now)
				if tc.then.Path == "" {
					tc.then = tc.first
				}
				commit(t, s, Spec{Listeners: map[string]ListenerSpec{"web": tc.first, "more": tc.first}})
				web, more := listen(t, s.Listener("web").Config().Clone()), listen(t, s.Listener("more").Config())
				client := &tls.Config{
					ServerName: "a.example", RootCAs: d.Pool, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(0),
					Certificates: card(t, d.Authority, "ann"), Time: c.now,
				}
				if state, err := dial(web, client); err != nil || state.DidResume {
					t.Fatalf("first: resumed %v, %v", state.DidResume, err)
				}
				if tc.between != nil {
					tc.between(c, s)
				}
				commit(t, s, Spec{Listeners: map[string]ListenerSpec{"web": tc.then, "more": tc.first}})
				if tc.elsewhere {
					web = more
				}
				state, err := dial(web, client)
				if must(t, err); state.DidResume != tc.want {
					t.Errorf("resumed %v, want %v", state.DidResume, tc.want)
				}
			})
		}
	}
}

// days lets time pass as a gateway does, which looks every so often.
func days(c *clock, s *Store, d time.Duration) {
	for end := c.now().Add(d); c.now().Before(end); {
		c.pass(time.Hour)
		s.Refresh()
	}
}
