package proxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// tired wants no retry within the hour.
var tired = gatewaytest.Respond(503, "tired", "Retry-After: 3600")

func TestRetryAfter(t *testing.T) {
	t.Run("clients_see_what_the_endpoint_said", func(t *testing.T) {
		g := start(t, options{}, gatewaytest.NewEndpoint(t, tired), gatewaytest.NewEndpoint(t, tired))
		if r := g.dial().Get("/"); r.StatusCode != 503 || r.Header.Get("Retry-After") != "3600" || r.Text != "tired" {
			t.Errorf("got %d %v %q; want the endpoint's own answer", r.StatusCode, r.Header, r.Text)
		}
	})
	t.Run("it_holds_for_the_retries_of_other_requests_and_for_no_first_attempt", func(t *testing.T) {
		first := gatewaytest.NewEndpoint(t, gatewaytest.Respond(503, ""))
		second := gatewaytest.NewEndpoint(t, tired, ok)
		g := start(t, options{}, first, second)
		c := g.dial()
		c.Get("/")
		if r := c.Get("/"); r.StatusCode != 503 || second.Count("GET") != 1 {
			t.Errorf("got %d, the second endpoint %d requests; want no retry there", r.StatusCode, second.Count("GET"))
		}
		g.cluster.Load().Endpoints[1].Rest(time.Now())
		if r := c.Get("/"); r.StatusCode != 200 || second.Count("GET") != 2 {
			t.Errorf("got %d, the second endpoint %d requests; want a retry when its time is over", r.StatusCode, second.Count("GET"))
		}
		second.Script(tired)
		g.cluster.Load().Endpoints[1].Rest(time.Now().Add(time.Hour))
		first.Script(ok)
		if r := c.Get("/"); r.StatusCode != 200 {
			t.Errorf("a first attempt got %d; want 200", r.StatusCode)
		}
	})
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "1.5": 0, "99999999999": 0, "0": 0, "7": 7 * time.Second,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): -time.Minute,
	} {
		if got := restFor(field, now); got != want {
			t.Errorf("Retry-After: %q: %v, want %v", field, got, want)
		}
	}
}
