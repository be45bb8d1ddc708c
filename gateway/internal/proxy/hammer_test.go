package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

// roundRobin spreads requests; it stands for a policy that knows nothing of health.
type roundRobin struct{ n atomic.Uint32 }

func (p *roundRobin) Build(*policies.Table) (policies.Picker, error) { return p, nil }

func (p *roundRobin) Pick(r *policies.Request, v *policies.View) int {
	c := v.Candidates(r)
	for range c {
		if i := c[p.n.Add(1)%uint32(len(c))]; !r.HasTried(i) {
			return int(i)
		}
	}
	return policies.None
}

// reflect answers with what makes a request different from every other, so that no answer fits another.
func reflect(x *gatewaytest.Exchange) {
	if x.ReadBody() != nil {
		x.Close()
		return
	}
	x.Send(gatewaytest.Answer(200, x.Request.Target+" "+x.Request.Body, "X-User: "+x.Request.Header.Get("X-User")))
}

// Forty clients at four endpoints, of which one after the other is killed, hangs, answers 503 and comes back. Every GET
// is answered, with its own answer; no POST is executed twice.
func TestFaultsUnderLoad(t *testing.T) {
	const clients, each = 40, 50
	var es []*gatewaytest.Endpoint
	for range 4 {
		es = append(es, gatewaytest.NewEndpoint(t, reflect))
	}
	g := start(t, options{policy: &roundRobin{}, route: Route{PerTryTimeout: 250 * time.Millisecond, Attempts: 4}}, es...)
	var served atomic.Int64
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			var c net.Conn
			var br *bufio.Reader
			for i := range each {
				if c == nil { // as a browser would: a connection that closed with its answer is not used again
					var err error
					if c, err = net.Dial("tcp", g.address); err != nil {
						t.Error(err)
						return
					}
					br = bufio.NewReader(c)
				}
				id, post := fmt.Sprintf("%d.%d", n, i), i%5 == 4
				request := fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: a\r\nX-User: %s\r\n\r\n", id, id)
				want := "/" + id + " "
				if post {
					request = fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: a\r\nX-User: %s\r\nContent-Length: %d\r\n\r\n%s", id, id, len(id), id)
					want += id
				}
				_, _ = io.WriteString(c, request)
				r, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				b, err := io.ReadAll(r.Body)
				switch {
				case err != nil, r.StatusCode == 200 && (string(b) != want || r.Header.Get("X-User") != id):
					t.Errorf("%s: got %q for user %s, %v", id, b, r.Header.Get("X-User"), err)
				case r.StatusCode != 200 && !post:
					t.Errorf("%s: got %d %s", id, r.StatusCode, b)
				}
				if served.Add(1); r.Close {
					_ = c.Close()
					c = nil
				}
			}
			if c != nil {
				_ = c.Close()
			}
		})
	}
	after := func(n int64) {
		gatewaytest.Eventually(t, fmt.Sprint(n, " requests served"), func() bool { return served.Load() >= n || t.Failed() })
	}
	const step = clients * each / 10
	after(step)
	es[0].Stop()
	after(2 * step)
	es[1].Script(gatewaytest.Hang())
	after(2*step + step/4)
	es[1].Script(reflect)
	es[1].ResetConns()
	after(4 * step)
	es[2].Script(gatewaytest.Respond(503, "busy"))
	es[0].Start()
	after(6 * step)
	es[2].Script(reflect)
	es[3].ResetConns()
	wg.Wait()
	g.settled()

	executed := map[string]int{}
	for _, e := range es {
		for _, body := range e.Executed("POST") {
			executed[body]++
		}
	}
	for id, n := range executed {
		if n > 1 {
			t.Errorf("POST %s was executed %d times", id, n)
		}
	}
	if len(executed) == 0 {
		t.Error("no POST was executed")
	}
}
