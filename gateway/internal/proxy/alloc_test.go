package proxy

import (
	"bufio"
	"net"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/response"
)

const browserRequest = "GET /a/b/c?d=e HTTP/1.1\r\n" + browserHead

const browserHead = "Host: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: sid=0123456789abcdef; theme=dark\r\n" +
	"Referer: https://shop.example.com/\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nUpgrade-Insecure-Requests: 1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"

// parsed is an exchange whose request has been read.
func parsed(tb testing.TB) *exchange {
	tb.Helper()
	x := &exchange{}
	x.conn = &conn{scheme: "http", ip: []byte("192.0.2.1"), forwarded: "for=192.0.2.1;proto=http", local: "198.51.100.1:80"}
	x.table = compiled(Route{Name: "other", Host: "*.example.net"}, Route{Name: "shop", Host: "*.example.com", Path: "/a/", Affinity: Affinity{CookieKey, "theme"}})
	if err := x.read(bufio.NewReader(&repeat{text: browserRequest})); err != nil {
		tb.Fatal(err)
	}
	if id := x.check(); id != noProblem {
		tb.Fatal(problems[id].Name)
	}
	if x.route = x.table.route(x.host, x.path, &x.head); x.route == nil {
		tb.Fatal("no route")
	}
	return x
}

// repeat reads as the same text over and over.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func TestAllocations(t *testing.T) {
	x := parsed(t)
	var resp response.Head
	head := &repeat{text: "HTTP/1.1 200 OK\r\nServer: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n\r\n"}
	br := bufio.NewReaderSize(head, len(head.text))
	request := bufio.NewReaderSize(&repeat{text: browserRequest}, len(browserRequest))
	for name, f := range map[string]func(){
		"check": func() {
			if err := x.read(request); err != nil || x.check() != noProblem {
				t.Fatal(err)
			}
		},
		"route":    func() { x.table.route(x.host, x.path, &x.head) },
		"key":      func() { x.key(nil) },
		"rewrite":  func() { x.rewrite(true) },
		"attrs":    func() { (*attrs)(x).Header("x-forwarded-for"); (*attrs)(x).Cookie("sid") },
		"classify": func() { x.outcome.Class = classOf(503) },
		"count":    func() { x.route.stats.count(200); x.route.cluster.latency.observe(1e6) },
		"response": func() {
			if err := resp.Read(br); err != nil {
				t.Fatal(err)
			}
			resp.RemoveHops(false)
			resp.Add("Via", x.table.via)
			x.out, _ = resp.Append(x.out[:0])
		},
		"problem": func() { answer(&x.resp, noEndpoint, 0) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations; want 0", name, n)
		}
	}
}

// BenchmarkCheck reads and checks a request.
func BenchmarkCheck(b *testing.B) {
	x := parsed(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(browserRequest)))
	br := bufio.NewReaderSize(&repeat{text: browserRequest}, len(browserRequest))
	for b.Loop() {
		if err := x.read(br); err != nil || x.check() != noProblem {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	x := parsed(b)
	b.ReportAllocs()
	for b.Loop() {
		x.rewrite(false)
	}
}

// BenchmarkCount is what a request costs for the sake of metrics alone: its status, its latency, its attempt.
func BenchmarkCount(b *testing.B) {
	x := parsed(b)
	b.ReportAllocs()
	for b.Loop() {
		x.route.cluster.attempts[x.outcome.Class].Add(1)
		x.route.stats.count(200)
		x.route.cluster.latency.observe(1e6)
	}
}

// cheapest answers every read of a connection with the same response: it stands for an endpoint that costs nothing.
func cheapest(b testing.TB, response string) string {
	b.Helper()
	answer := []byte(response)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkProxiedGet is a whole GET, one client, one endpoint, 1 KiB back. All allocations of client and endpoint, which
// make none, and of the gateway count.
func BenchmarkProxiedGet(b *testing.B) {
	response := gatewaytest.Answer(200, string(make([]byte, 1024)), "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: null")
	address := cheapest(b, response)
	for name, lines := range map[string]string{"small": "Host: a\r\n\r\n", "browser": browserHead} {
		b.Run(name, func(b *testing.B) {
			g := startAt(b, options{}, address)
			c, err := net.Dial("tcp", g.address)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			request := []byte("GET /a/b/c?d=e HTTP/1.1\r\n" + lines)
			buf := make([]byte, 16<<10)
			do := func() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
			for range 100 {
				do()
			}
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}
