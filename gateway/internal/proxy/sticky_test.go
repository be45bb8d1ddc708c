package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/policies"
)

var sticky = &cluster.Sticky{Cookie: "lb", Key: []byte("0123456789abcdef")}

// binder sends a client where its cookie says, new ones where start says, and binds them.
type binder struct {
	saw   []int // StickyEP of each pick
	start int
	keeps bool // it knows of no weight
}

func (b *binder) Build(*policies.Table) (policies.Picker, error) { return b, nil }

func (b *binder) Pick(r *policies.Request, v *policies.View) int {
	b.saw = append(b.saw, r.StickyEP)
	r.SetSticky = true
	for _, i := range []int{r.StickyEP, b.start, 0, 1} {
		if i >= 0 && (v.Usable(i) || b.keeps) && !r.HasTried(uint32(i)) {
			return i
		}
	}
	return policies.None
}

func cookies(r *gatewaytest.Response) (all []string) {
	for _, c := range r.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return all
}

func TestSticky(t *testing.T) {
	two := func(t *testing.T, acts ...gatewaytest.Act) []*gatewaytest.Endpoint {
		return []*gatewaytest.Endpoint{gatewaytest.NewEndpoint(t, acts...), gatewaytest.NewEndpoint(t)}
	}
	t.Run("a client is bound, comes back, and is not told twice", func(t *testing.T) {
		b := &binder{start: 1}
		es := two(t)
		g := start(t, options{policy: b, sticky: sticky}, es...)
		c := g.dial()
		r := c.Get("/")
		ours := r.Cookies()
		if len(ours) != 1 || ours[0].Name != "lb" || ours[0].Path != "/" || !ours[0].HttpOnly || ours[0].SameSite != http.SameSiteLaxMode || ours[0].MaxAge != 0 {
			t.Fatalf("cookies %v", r.Header["Set-Cookie"])
		}
		token := "lb=" + ours[0].Value
		b.start = 0
		r = c.Get("/", "Cookie: a=b; "+token+"; c=d")
		if len(r.Cookies()) != 0 || es[1].Count("GET") != 2 || !slices.Equal(b.saw, []int{policies.None, 1}) {
			t.Errorf("cookies %v, %d requests at its endpoint, sticky %v; want none, 2, [-1 1]", cookies(r), es[1].Count("GET"), b.saw)
		}
		if got := es[1].Requests()[1].Header.Get("Cookie"); got != "a=b; "+token+"; c=d" {
			t.Errorf("the endpoint got the cookies %q, want them as they came", got)
		}
	})
	t.Run("the endpoint that answers counts, not the one that was asked first", func(t *testing.T) {
		b := &binder{}
		es := two(t)
		g := start(t, options{policy: b, sticky: sticky}, es...)
		c := g.dial()
		first := cookies(c.Get("/"))
		es[0].Stop()
		second := cookies(c.Get("/", "Cookie: "+first[0]))
		if len(second) != 1 || second[0] == first[0] {
			t.Fatalf("first %v, then %v; want the other endpoint's", first, second)
		}
		b.saw = nil
		c.Get("/", "Cookie: "+second[0])
		if !slices.Equal(b.saw, []int{1}) {
			t.Errorf("sticky %v, want [1]", b.saw)
		}
	})
	t.Run("a forged token is none", func(t *testing.T) {
		b := &binder{start: 1}
		g := start(t, options{policy: b, sticky: sticky}, two(t)...)
		c := g.dial()
		for _, forged := range []string{"lb=1", "lb=", "lb", "lb=AAAAAAAAAAAAAAAAAAAAAA", "LB=" + strings.Repeat("A", 22)} {
			if r := c.Get("/", "Cookie: "+forged); len(r.Cookies()) != 1 {
				t.Errorf("%s: cookies %v, want a new one", forged, cookies(r))
			}
		}
		if slices.ContainsFunc(b.saw, func(i int) bool { return i != policies.None }) {
			t.Errorf("sticky %v, want none", b.saw)
		}
	})
	t.Run("the endpoint's own cookies stay, ours comes last", func(t *testing.T) {
		es := two(t, gatewaytest.Respond(200, "ok", "Set-Cookie: sid=1; Path=/x", "Set-Cookie: lb=mine; Path=/"))
		r := start(t, options{policy: &binder{}, sticky: sticky}, es...).dial().Get("/")
		if got := cookies(r); len(got) != 3 || got[0] != "sid=1" || got[1] != "lb=mine" || len(got[2]) != len("lb=")+22 {
			t.Errorf("cookies %q", r.Header["Set-Cookie"])
		}
	})
	t.Run("every way of a response carries it", func(t *testing.T) {
		for name, act := range map[string]gatewaytest.Act{
			"streamed": gatewaytest.Pour(200<<10, true), "until close": gatewaytest.RawClose("HTTP/1.1 200 OK\r\n\r\nabc"), "a 404": gatewaytest.Respond(404, "no"),
		} {
			c := start(t, options{policy: &binder{}, sticky: sticky}, two(t, act)...).dial()
			c.Send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
			if r, err := c.Next("GET"); err != nil || len(r.Cookies()) != 1 {
				t.Errorf("%s: %v, %v", name, r, err)
			}
		}
	})
	t.Run("an endpoint of weight 0 keeps the sessions it has, and gets no others", func(t *testing.T) {
		b := &binder{start: 1}
		es := two(t)
		g := start(t, options{policy: b, sticky: sticky}, es...)
		c := g.dial()
		token := cookies(c.Get("/"))[0]
		s := discovery.State{Origin: discovery.OriginLive, At: time.Now()}
		for i, e := range es {
			s.Instances = append(s.Instances, discovery.Instance{ID: fmt.Sprint(i), Address: e.Address(), Weight: 1 - i})
		}
		g.cluster.Apply(s)
		b.keeps = true
		if r := c.Get("/", "Cookie: "+token); len(r.Cookies()) != 0 || es[1].Count("GET") != 2 {
			t.Errorf("%d requests at its endpoint, cookies %v; want 2 and none", es[1].Count("GET"), cookies(r))
		}
		c.Get("/")
		if es[0].Count("GET") != 1 || es[1].Count("GET") != 2 || g.Stats().Clusters[0].BadPicks != 1 {
			t.Errorf("%d requests at the other endpoint, %d at this, %d bad picks; want 1, 2, 1", es[0].Count("GET"), es[1].Count("GET"), g.Stats().Clusters[0].BadPicks)
		}
	})
	t.Run("nobody is bound by a policy that does not ask, or by the gateway's own answers", func(t *testing.T) {
		if r := start(t, options{sticky: sticky}, two(t)...).dial().Get("/"); len(r.Cookies()) != 0 {
			t.Errorf("cookies %v without being asked", cookies(r))
		}
		es := two(t)
		es[0].Stop()
		es[1].Stop()
		if r := start(t, options{policy: &binder{}, sticky: sticky}, es...).dial().Get("/"); r.StatusCode != 502 || len(r.Cookies()) != 0 {
			t.Errorf("got %d with cookies %v, want 502 without", r.StatusCode, cookies(r))
		}
		if r := start(t, options{policy: &binder{}}, two(t)...).dial().Get("/"); len(r.Cookies()) != 0 {
			t.Errorf("cookies %v of a cluster that has none", cookies(r))
		}
	})
}
