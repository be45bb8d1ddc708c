package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// fleet is a configuration of one cluster over those endpoints with everything on that failover needs.
func fleet(policy string, endpoints ...*endpointProcess) string {
	var b strings.Builder
	b.WriteString(`admin: {address: 127.0.0.1:0}
listeners:
  - {name: http, address: 127.0.0.1:0}
policies:
  p2c-wasm: {wasm: plugins/p2c/p2c.wasm, fallback: p2c}
clusters:
  web:
    policy: ` + policy + `
    probe: {http: {path: /-/executed}, interval: 200ms, timeout: 200ms, fall: 2, rise: 1}
    outlier: {consecutive: 3, base_ejection: 1s, max_ejected: 50%}
    retry: {attempts: 4, budget: 100%, per_try_timeout: 500ms}
    endpoints:
`)
	for _, e := range endpoints {
		fmt.Fprintf(&b, "      - {name: %s, address: %q}\n", e.name, e.address)
	}
	b.WriteString("routes:\n  - {path: /, cluster: web}\n")
	return b.String()
}

// traffic sends requests from several clients until it is ended, and notes every failure.
type traffic struct {
	requests atomic.Int64
	mu       sync.Mutex
	failures []string
	stop     context.CancelFunc
	done     sync.WaitGroup
}

func startTraffic(t *testing.T, clients int, send func(ctx context.Context, c *http.Client, n int64) error) *traffic {
	ctx, stop := context.WithCancel(t.Context())
	tr := &traffic{stop: stop}
	for range clients {
		tr.done.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: 15 * time.Second}
			for ctx.Err() == nil {
				n := tr.requests.Add(1)
				if err := send(ctx, c, n); err != nil && ctx.Err() == nil {
					tr.mu.Lock()
					tr.failures = append(tr.failures, err.Error())
					tr.mu.Unlock()
				}
			}
		})
	}
	t.Cleanup(tr.end)
	return tr
}

func (tr *traffic) end() {
	tr.stop()
	tr.done.Wait()
}

// during lets n more requests happen.
func (tr *traffic) during(t *testing.T, n int64) {
	t.Helper()
	until := tr.requests.Load() + n
	gatewaytest.Eventually(t, "requests flow", func() bool { return tr.requests.Load() >= until })
}

func (tr *traffic) wantNoFailure(t *testing.T) {
	t.Helper()
	tr.end()
	if len(tr.failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(tr.failures), tr.requests.Load(), tr.failures[0])
	}
}

func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return nil
}

// TestNoIdempotentRequestIsLost is the promise of the product: endpoints are killed, hang and answer 503 in turn, each
// recovering, while 40 clients send GETs.
func TestNoIdempotentRequestIsLost(t *testing.T) {
	for _, policy := range []string{"p2c-wasm", "round_robin"} {
		t.Run(policy, func(t *testing.T) {
			var es []*endpointProcess
			for _, name := range []string{"a", "b", "c", "d"} {
				es = append(es, startEndpoint(t, name))
			}
			w := startWeir(t, fleet(policy, es...))
			tr := startTraffic(t, 40, func(ctx context.Context, c *http.Client, n int64) error {
				return get(ctx, c, "http://"+w.http+"/")
			})
			state := func(i int) string {
				var c struct {
					Endpoints []struct{ Name, State string }
				}
				if err := getJSON("http://"+w.admin+"/api/v1/clusters/web", &c); err != nil {
					t.Fatal(err)
				}
				for _, e := range c.Endpoints {
					if e.Name == es[i].name {
						return e.State
					}
				}
				t.Fatalf("no endpoint %s in %+v", es[i].name, c)
				return ""
			}
			tr.during(t, 400)

			es[0].kill()
			gatewaytest.Eventually(t, "the killed endpoint is down", func() bool { return state(0) == "down" })
			tr.during(t, 400)
			es[0].start()
			gatewaytest.Eventually(t, "the restarted endpoint is up", func() bool { return state(0) == "up" })

			es[1].signal(syscall.SIGSTOP)
			gatewaytest.Eventually(t, "the hung endpoint is down", func() bool { return state(1) == "down" })
			tr.during(t, 400)
			es[1].signal(syscall.SIGCONT)
			gatewaytest.Eventually(t, "the endpoint that runs again is up", func() bool { return state(1) == "up" })

			es[2].answer(http.StatusServiceUnavailable)
			tr.during(t, 400)
			es[2].answer(http.StatusOK)
			gatewaytest.Eventually(t, "the endpoint that answers again is up", func() bool { return state(2) == "up" })
			tr.during(t, 400)
			tr.wantNoFailure(t)
			if n := tr.requests.Load(); n < 2000 {
				t.Errorf("%d requests, want at least 2000", n)
			}
			if w.metric("weir_retries_total") == 0 {
				t.Error("no retry was counted: the faults did no harm, so the test shows nothing")
			}
		})
	}
}

// TestPostIsNeverExecutedTwice kills and stops endpoints under POSTs with bodies of their own. A POST may fail, but no
// body may reach an endpoint's handler twice.
func TestPostIsNeverExecutedTwice(t *testing.T) {
	es := []*endpointProcess{startEndpoint(t, "a"), startEndpoint(t, "b"), startEndpoint(t, "c")}
	w := startWeir(t, fleet("p2c-wasm", es...))
	var ok atomic.Int64
	tr := startTraffic(t, 16, func(ctx context.Context, c *http.Client, n int64) error {
		resp, err := c.Post("http://"+w.http+"/", "text/plain", strings.NewReader(fmt.Sprintf("order %d", n)))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			ok.Add(1)
		}
		return nil
	})
	tr.during(t, 300)
	before := es[0].executed()
	es[0].kill()
	tr.during(t, 300)
	es[0].start()
	tr.during(t, 300)
	es[1].signal(syscall.SIGSTOP)
	tr.during(t, 100)
	es[1].signal(syscall.SIGCONT)
	tr.during(t, 300)
	es[2].answer(http.StatusServiceUnavailable)
	tr.during(t, 300)
	tr.end()
	total := map[string]int{}
	for _, m := range []map[string]int{before, es[0].executed(), es[1].executed(), es[2].executed()} {
		for body, n := range m {
			total[body] += n
		}
	}
	for body, n := range total {
		if n > 1 {
			t.Errorf("%q was executed %d times", body, n)
		}
	}
	if ok.Load() < 500 {
		t.Errorf("%d POSTs were answered 200, want at least 500", ok.Load())
	}
}
