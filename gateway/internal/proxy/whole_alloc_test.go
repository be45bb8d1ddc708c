//go:build !race

package proxy

// The race detector makes sync.Pool forget things at random, so that whole requests allocate.

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// busybody wants everything that a policy can have beside the endpoint, short of a hedge.
type busybody struct{ heard int }

func (p *busybody) Build(*policies.Table) (policies.Picker, error) { return p, nil }

func (p *busybody) Pick(r *policies.Request, _ *policies.View) int {
	r.SetSticky, r.Timeout = true, time.Second
	for a := policies.AttrPath; a < policies.NumAttrs; a++ {
		r.Attrs.Attr(a)
	}
	return 0
}

func (p *busybody) Observe(*policies.View, policies.Feedback) { p.heard++ }

// TestProxiedGetAllocatesNothing sends whole requests, one that is bound by a cookie and one that is about to be, to a
// cluster of several parts whose endpoint reports its load, with an access log.
func TestProxiedGetAllocatesNothing(t *testing.T) {
	address := cheapest(t, gatewaytest.Answer(200, "hello", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: null",
		"Endpoint-Load-Metrics: TEXT cpu_utilization=0.5, rps=10"))
	p := new(busybody)
	l, _ := logged(t)
	g := startAt(t, options{policy: p, sticky: sticky, config: Config{ExplainToken: "s3cret", Access: l, AccessQuery: true}, split: policies.Split{OwnZone: true}, instance: zonesHereAndThere}, address, address)
	if n := len(g.cluster.Load().View.Parts); n != 1 {
		t.Fatalf("%d parts", n)
	}
	token, _, _ := bytes.Cut(g.cluster.Load().Sticky.Field(0), []byte(";"))
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 16<<10)
	for name, cookie := range map[string]string{"bound": string(token), "unbound": "lb=x"} {
		request := []byte("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\"\r\nWeir-Explain: guess\r\nCookie: " + cookie + "\r\n\r\n")
		do := func() {
			if _, err := c.Write(request); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err != nil || bytes.Contains(buf[:n], []byte("Set-Cookie")) != (name == "unbound") {
				t.Fatalf("%s: %v, %q", name, err, buf[:n])
			}
		}
		for range 100 {
			do()
		}
		if n := testing.AllocsPerRun(500, do); n != 0 {
			t.Errorf("%s: %v allocations a request; want 0", name, n)
		}
	}
	if p.heard < 1200 {
		t.Errorf("the policy heard of %d attempts", p.heard)
	}
}

// TestProxiedPostAllocatesNothing sends small bodies along with their heads.
func TestProxiedPostAllocatesNothing(t *testing.T) {
	g := startAt(t, options{}, cheapest(t, gatewaytest.Answer(200, "hello", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: null")))
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 16<<10)
	request := []byte("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
	do := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		do()
	}
	if n := testing.AllocsPerRun(500, do); n != 0 {
		t.Errorf("%v allocations a request; want 0", n)
	}
}
