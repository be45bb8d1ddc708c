package cluster

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
)

var stickyKey = []byte("0123456789abcdef")

// token is what the Set-Cookie field of endpoint i carries.
func token(c *Cluster, i int) string {
	_, rest, _ := strings.Cut(string(c.Load().Sticky.Field(i)), "=")
	t, _, _ := strings.Cut(rest, ";")
	return t
}

func TestSticky(t *testing.T) {
	with := func(t *testing.T, name string, key []byte) *Cluster {
		s := settings()
		s.Sticky = &Sticky{Cookie: "lb", Key: key}
		c, err := New(name, s, nil, discard)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		c.Apply(live(instance("a"), instance("b")))
		return c
	}
	t.Run("a_token_is_an_hmac_of_cluster_and_endpoint", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		mac := hmac.New(sha256.New, stickyKey)
		mac.Write([]byte("weir sticky 1 3 web a"))
		want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
		if got := string(c.Load().Sticky.Field(0)); got != "lb="+want+"; Path=/; HttpOnly; SameSite=Lax" {
			t.Errorf("field %q, want token %q", got, want)
		}
	})
	t.Run("a_token_names_its_endpoint_as_long_as_it_is_there", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		a, b := token(c, 0), token(c, 1)
		c.Apply(live(instance("0"), instance("b")))
		k := c.Load().Sticky
		if got := []int{k.Endpoint([]byte(a)), k.Endpoint([]byte(b))}; got[0] != policies.None || got[1] != 1 {
			t.Errorf("a is %d and b is %d, want gone and 1", got[0], got[1])
		}
	})
	t.Run("what_is_forged_names_nobody", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		k, real := c.Load().Sticky, token(c, 0)
		for _, forged := range []string{
			"", "a", "0", real[1:], real + "=", strings.ToUpper(real), strings.Repeat("A", 22),
			token(with(t, "web", bytes.Repeat([]byte("k"), 32)), 0), // another key
			token(with(t, "other", stickyKey), 0),                   // another cluster
		} {
			if i := k.Endpoint([]byte(forged)); i != policies.None {
				t.Errorf("%q is the token of endpoint %d", forged, i)
			}
		}
	})
	t.Run("settings_that_are_unsafe_are_refused", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		for _, bad := range []*Sticky{{"lb", stickyKey[:15]}, {"", stickyKey}, {"l b", stickyKey}, {"lb;", stickyKey}, {"lb\r\n", stickyKey}, {"l=b", stickyKey}} {
			s := settings()
			s.Sticky = bad
			if err := c.Configure(s); err == nil {
				t.Errorf("Configure accepts %q with a key of %d bytes", bad.Cookie, len(bad.Key))
			}
			if c, err := New("web", s, nil, discard); err == nil {
				c.Close()
				t.Errorf("New accepts %q with a key of %d bytes", bad.Cookie, len(bad.Key))
			}
		}
		if c.Load().Sticky == nil {
			t.Error("a refused setting took the old one away")
		}
	})
	t.Run("without_it_there_are_no_tokens", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		if err := c.Configure(settings()); err != nil || c.Load().Sticky != nil {
			t.Errorf("%v, tokens %v; want none", err, c.Load().Sticky)
		}
	})
	t.Run("a_look_allocates_nothing", func(t *testing.T) {
		c := with(t, "web", stickyKey)
		k, b := c.Load().Sticky, []byte(token(c, 1))
		if n := testing.AllocsPerRun(100, func() { k.Endpoint(b) }); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}
