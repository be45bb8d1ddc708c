package gatewaytest

import (
	"net"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEndpoint(t *testing.T) {
	t.Run("a script is followed, and its last act repeated", func(t *testing.T) {
		e := NewEndpoint(t, Respond(503, "busy"), Echo())
		c := Dial(t, e.Address())
		if r := c.Get("/a", "X-A: 1"); r.StatusCode != 503 || r.Text != "busy" {
			t.Errorf("got %d %q", r.StatusCode, r.Text)
		}
		for _, body := range []string{"one", "two"} {
			if r := c.Post("/b", body); r.Text != body {
				t.Errorf("got %q; want %q", r.Text, body)
			}
		}
		if got := e.Requests(); e.Count("GET") != 1 || got[0].Header.Get("X-A") != "1" || got[1].Length != 3 || e.Accepted() != 1 {
			t.Errorf("counted %d GETs on %d connections: %+v", e.Count("GET"), e.Accepted(), got)
		}
		if got := e.Executed("POST"); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("executed %q", got)
		}
	})
	t.Run("a stopped endpoint refuses, resets its connections, and comes back on its port", func(t *testing.T) {
		e := NewEndpoint(t)
		c := Dial(t, e.Address())
		c.Get("/")
		e.Stop()
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
		if c, err := net.Dial("tcp", e.Address()); err == nil {
			_ = c.Close()
			t.Error("a stopped endpoint accepts")
		}
		e.Start()
		if r := Dial(t, e.Address()).Get("/"); r.StatusCode != 200 {
			t.Errorf("got %d", r.StatusCode)
		}
	})
	t.Run("a body that was cut off is not executed", func(t *testing.T) {
		e := NewEndpoint(t)
		c := Dial(t, e.Address())
		c.Send(Head("POST", "/", "Content-Length: 10") + "12345")
		_ = c.CloseWrite()
		if err := c.Ended(); err != nil {
			t.Error(err)
		}
		if e.Count("POST") != 1 || len(e.Executed("POST")) != 0 {
			t.Errorf("%d requests, %d executed; want 1 and 0", e.Count("POST"), len(e.Executed("POST")))
		}
	})
}
