package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/access"
	"github.com/weir-lb/weir/gateway/internal/cluster"
)

// page is what an access log is written on.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *page) Close() error { return nil }

// logged is a log, and what reads its lines once there are n: in the order of the requests.
func logged(t *testing.T) (l *access.Log, lines func(n int) []map[string]any) {
	t.Helper()
	p := new(page)
	was := runtime.GOMAXPROCS(1) // lines that are left near different processors are not in order
	l = access.New(p, func(error) {})
	runtime.GOMAXPROCS(was)
	end := sync.OnceFunc(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("closing the log: %v", err)
		}
	})
	t.Cleanup(end)
	return l, func(n int) (out []map[string]any) {
		t.Helper()
		gatewaytest.Eventually(t, "the lines are written", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return bytes.Count(p.b.Bytes(), []byte{'\n'}) >= n
		})
		p.mu.Lock()
		defer p.mu.Unlock()
		for line := range bytes.Lines(p.b.Bytes()) {
			m := map[string]any{}
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, m)
		}
		if len(out) != n {
			t.Fatalf("%d lines, want %d:\n%s", len(out), n, p.b.Bytes())
		}
		p.b.Reset()
		return out
	}
}

// fits compares some fields of a line, and says which differs. A nil is for a field that is not there.
func fits(line, want map[string]any) string {
	for k, v := range want {
		if n, ok := v.(int); ok {
			v = float64(n)
		}
		if line[k] != v {
			return fmt.Sprintf("%s is %v, want %v", k, line[k], v)
		}
	}
	return ""
}

func has(t *testing.T, line, want map[string]any) {
	t.Helper()
	if wrong := fits(line, want); wrong != "" {
		t.Errorf("%s, in %v", wrong, line)
	}
}

func TestEachRequestLeavesALine(t *testing.T) {
	ok, failing := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, "hello")), gatewaytest.NewEndpoint(t, gatewaytest.Respond(503, ""))
	l, lines := logged(t)
	g := start(t, options{config: Config{Access: l}}, failing, ok)
	c := g.dial()
	c.Do("PUT /a%20b?token=s3cret HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nAuthorization: s3cret\r\nCookie: s3cret=s3cret\r\n" +
		"User-Agent: \"me\"\r\nX-Request-Id: r-1\r\nX-Request-Id: r-2\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\nbody")
	line := lines(1)[0]
	has(t, line, map[string]any{
		"listener": "http", "client": "127.0.0.1", "method": "PUT", "host": "shop", "path": "/a%20b", "query": nil, "protocol": "HTTP/1.1",
		"status": 200, "bytes_in": 4, "bytes_out": 5, "route": "all", "cluster": "web", "attempts": 2, "endpoint": "1", "outcome": nil,
		"policy": "in_order", "digest": "d1", "request_id": "r-1", "trace": "0af7651916cd43dd8448eb211c80319c", "user_agent": `"me"`,
		"tls": nil, "problem": nil, "cut_by": nil,
	})
	if at, err := time.Parse(time.RFC3339, line["time"].(string)); err != nil || time.Since(at) > time.Minute {
		t.Errorf("time %v: %v", at, err)
	}
	if ms, _ := line["ms"].(float64); ms <= 0 || ms > 60e3 || line["endpoint_ms"].(float64) > ms {
		t.Errorf("ms %v, of which %v", ms, line["endpoint_ms"])
	}
	for k, v := range line {
		if s, _ := v.(string); strings.Contains(s, "s3cret") {
			t.Errorf("%s has a secret: %s", k, s)
		}
	}
}

func TestRefusedRequestsLeaveALine(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, ""))
	l, lines := logged(t)
	g := start(t, options{route: Route{Path: "/here"}, config: Config{Access: l, AccessQuery: true}}, e)
	requests := map[string]map[string]any{
		"GET /there?a=b HTTP/1.1\r\nHost: a\r\n\r\n":                    {"status": 404, "problem": "no_route", "path": "/there", "query": "a=b", "host": "a", "attempts": nil},
		"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\n\r\n":       {"status": 400, "problem": "alias_field", "method": "GET", "path": "/"},
		"GET /\xff\" HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":            {"status": 400, "problem": "bad_host", "path": "/\ufffd\""},
		"GET http://me:s3cret@a/x?y HTTP/1.1\r\nA : 1\r\n\r\n":          {"status": 400, "method": "GET", "path": "/x", "query": "y"},
		"BREW /pot?x HTTP/1.1\r\nHost a\r\n\r\n":                        {"status": 400, "method": "BREW", "path": "/pot", "query": "x", "protocol": "HTTP/1.1"},
		"GET /" + strings.Repeat("a", headBuffer) + " HTTP/1.1\r\n\r\n": {"status": 414, "problem": "long_target", "path": "/" + strings.Repeat("a", access.MaxText-1) + "…"},
		"\x16\x03\x01 \x02\n":                                           {"status": 400, "problem": "bad_request", "method": nil, "path": nil},
		"GET /half HTTP/1.1 x\r\nHost: a\r\n\r\n":                       {"status": 400, "problem": "bad_request", "path": "/half", "protocol": nil},
		"HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n":                        {"status": 404, "bytes_out": 0},
	}
	for request := range requests {
		c := g.dial()
		c.Send(request)
		if _, err := c.Next("HEAD"); err != nil {
			t.Fatalf("%.60q: %v", request, err)
		}
	}
	got := lines(len(requests))
	for request, want := range requests {
		n := 0
		for _, line := range got {
			if fits(line, want) == "" {
				n++
			}
			if b, _ := json.Marshal(line); bytes.Contains(b, []byte("s3cret")) {
				t.Errorf("a secret in %s", b)
			}
		}
		if n != 1 {
			t.Errorf("%d lines are as those of %.60q are to be, %v, want 1", n, request, want)
		}
	}
}

func TestLinesTellWhoCutAResponse(t *testing.T) {
	l, lines := logged(t)
	t.Run("the endpoint", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.RawReset("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello"))
		c := start(t, options{config: Config{Access: l}}, e).dial()
		c.Send(gatewaytest.Head("GET", "/"))
		_, _ = c.Next("GET")
		has(t, lines(1)[0], map[string]any{"status": 200, "bytes_out": 5, "cut_by": "endpoint", "outcome": "reset"})
	})
	t.Run("the client, before the answer", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Hang())
		g := start(t, options{config: Config{Access: l}}, e)
		c := g.dial()
		c.Send(gatewaytest.Head("GET", "/"))
		gatewaytest.Eventually(t, "the endpoint is asked", func() bool { return len(e.Requests()) == 1 })
		_ = c.Close()
		has(t, lines(1)[0], map[string]any{"status": 499, "cut_by": "client", "attempts": 1, "outcome": "cancelled"})
	})
	t.Run("the client, during the answer", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t, gatewaytest.Pour(1e9, false))
		c := start(t, options{config: Config{Access: l}}, e).dial()
		c.Send(gatewaytest.Head("GET", "/"))
		if _, err := c.Head("GET"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetLinger(0)
		_ = c.Close()
		line := lines(1)[0]
		has(t, line, map[string]any{"status": 200, "cut_by": "client"})
		if n := line["bytes_out"].(float64); n <= 0 || n >= 1e9 {
			t.Errorf("%v bytes out", n)
		}
	})
}

func TestLinesOfHTTP2AndTLS(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	l, lines := logged(t)
	g, trust := secured(t, options{config: Config{Access: l}}, e)
	tr := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post("https://"+g.address+"/up?x", "text/plain", io.LimitReader(zeros{}, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	resp.Body.Close()
	has(t, lines(1)[0], map[string]any{
		"method": "POST", "path": "/up", "protocol": "HTTP/2", "status": 200, "bytes_in": 100_000, "bytes_out": 5, "tls": tls.VersionName(tls.VersionTLS13), "cut_by": nil,
	})
}

// zeros reads without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestLinesNameTheClientThatTrustedPeersName(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, gatewaytest.Respond(200, ""))
	l, lines := logged(t)
	g := start(t, options{config: Config{Access: l, Trusted: map[string][]netip.Prefix{"http": {netip.MustParsePrefix("127.0.0.0/8")}}}}, e)
	c := g.dial()
	c.Get("/", "X-Forwarded-For: 203.0.113.9")
	c.Get("/", "X-Forwarded-For: \"\r\n")
	got := lines(2)
	has(t, got[0], map[string]any{"client": "203.0.113.9"})
	has(t, got[1], map[string]any{"client": "127.0.0.1"})
}

func TestATunnelLeavesALineAtItsEnd(t *testing.T) {
	l, lines := logged(t)
	c := start(t, options{config: Config{Access: l}}, gatewaytest.NewEndpoint(t, parrot)).dial()
	c.Send(websocket() + "early ")
	if _, err := c.Head("GET"); err != nil {
		t.Fatal(err)
	}
	c.Send("late")
	_ = c.CloseWrite()
	if b, err := io.ReadAll(c.Reader()); err != nil || string(b) != "hello early late" {
		t.Fatalf("%q, %v", b, err)
	}
	has(t, lines(1)[0], map[string]any{"path": "/chat", "status": 101, "bytes_in": 10, "bytes_out": 16, "cut_by": nil})
}

// BenchmarkLog is what a line costs the request that it is of: twelve fields in its head, one attempt.
func BenchmarkLog(b *testing.B) {
	x := parsed(b)
	l := access.New(new(nowhere), func(error) {})
	x.table.Access = l
	x.status, x.id, x.sent, x.arrived, x.ended = 200, 1234, 1024, time.Now(), time.Now()
	x.conn.listener = "http"
	x.snap = &cluster.Snapshot{PolicyName: "p2c_wasm", PolicyDigest: strings.Repeat("0", 64), Endpoints: []*cluster.Endpoint{{ID: "127.0.0.1:9001"}}}
	x.req.Attempt, x.outcome.FirstByte = 1, time.Millisecond
	b.ReportAllocs()
	for b.Loop() {
		x.log(false)
	}
	b.SetBytes(int64(len(x.appendLine(nil, false))))
	_ = l.Close(b.Context())
}

// nowhere takes lines and forgets them.
type nowhere struct{}

func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (*nowhere) Close() error                { return nil }
