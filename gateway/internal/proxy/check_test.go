package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// A request that two parsers might read differently gets no further, and its connection is closed. A row with status 200
// is the other side of the border: it must pass.
func TestStrictCheck(t *testing.T) {
	const body = "Content-Length: 4\r\n\r\nbody"
	for _, c := range []struct {
		name, request string
		status        int
		problem       string
	}{
		{"lengths twice, equal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" + body, 400, ""},
		{"lengths twice, different", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + body, 400, ""},
		{"length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nbody", 400, ""},
		{"length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nbody", 400, ""},
		{"length negative", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\nbody", 400, ""},
		{"length hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nbody", 400, ""},
		{"length beyond int64", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nbody", 400, ""},
		{"length empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nbody", 400, ""},
		{"length then chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "two_framings"},
		{"chunked then length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400, "two_framings"},
		{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, ""},
		{"gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "unknown_coding"},
		{"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "unknown_coding"},
		{"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501, "unknown_coding"},
		{"identity with length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n" + body, 501, ""},
		{"chunked in any case", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200, ""},
		{"chunked on HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, ""},
		{"underscore for hyphen in a framing field", "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n" + body, 400, "alias_field"},
		{"underscore in a trust field", "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n", 400, "alias_field"},
		{"underscore elsewhere", "GET / HTTP/1.1\r\nHost: a\r\nMy_Field: 1\r\n\r\n", 200, ""},
		{"fold", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", 400, "folded_field"},
		{"folded chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, "folded_field"},
		{"blank in a name", "POST / HTTP/1.1\r\nHost: a\r\nContent Length: 3\r\n" + body, 400, "bad_field"},
		{"blank before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n", 400, ""},
		{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n", 400, ""},
		{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400, ""},
		{"bare LF between lines", "GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n", 400, "bare_lf"},
		{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare_lf"},
		{"bare LF as empty line", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n", 400, ""},
		{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n", 400, ""},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		{"empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, ""},
		{"user in Host", "GET / HTTP/1.1\r\nHost: u:p@a\r\n\r\n", 400, "bad_host"},
		{"list in Host", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "bad_host"},
		{"port in Host", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", 200, ""},
		{"a port left out", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", 200, ""},
		{"a port that is no number", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 400, "bad_host"},
		{"a port beyond 65535", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "bad_host"},
		{"a port that wraps around", "GET / HTTP/1.1\r\nHost: a:18446744073709551696\r\n\r\n", 400, "bad_host"},
		{"the largest port", "GET / HTTP/1.1\r\nHost: a:65535\r\n\r\n", 200, ""},
		{"two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400, "bad_host"},
		{"a port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, "bad_host"},
		{"an escape in Host", "GET / HTTP/1.1\r\nHost: a%2d\r\n\r\n", 200, ""},
		{"half an escape in Host", "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", 400, "bad_host"},
		{"a bracket left open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "bad_host"},
		{"a bracket only closed", "GET / HTTP/1.1\r\nHost: ::1]\r\n\r\n", 400, "bad_host"},
		{"nothing in brackets", "GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400, "bad_host"},
		{"IPv4 in brackets", "GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", 400, "bad_host"},
		{"IPv4 in IPv6", "GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n", 200, ""},
		{"nine groups", "GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n", 400, "bad_host"},
		{"a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400, "bad_host"},
		{"a later address", "GET / HTTP/1.1\r\nHost: [v1.a]\r\n\r\n", 400, "bad_host"},
		{"something behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400, "bad_host"},
		{"absolute target, and Host is bad", "GET http://b/ HTTP/1.1\r\nHost: a:x\r\n\r\n", 400, "bad_host"},
		{"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200, ""},
		{"absolute target", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"absolute target without path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"user in an absolute target", "GET http://u:p@b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"other scheme", "GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"target without slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"target climbs", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"target climbs, encoded", "GET /a/%2E./b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"target climbs at its end", "GET /a/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"target with half an escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"target with a wrong escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"target with a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
		{"three dots are a name", "GET /a/.../b..c/..d HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"dots in a query", "GET /a?../b HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"},
		{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "unknown_method"},
		{"method of WebDAV", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
		{"method with @", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "bad_version"},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "bad_version"},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "bad_version"},
		{"HTTP/0.9", "GET /\r\n\r\n", 400, ""},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, ""},
		{"128 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: 1\r\n", 127) + "\r\n", 200, ""},
		{"129 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: 1\r\n", 128) + "\r\n", 431, "too_many_fields"},
		{"head of 20 kB", "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", 20000) + "\r\n\r\n", 431, "too_many_fields"},
		{"loop", "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 other, 1.1 weir\r\n\r\n", 508, "loop"},
		{"another gateway's Via", "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 weir-2, 1.0 weirs\r\n\r\n", 200, ""},
		{"another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n", 417, "expectation_failed"},
		{"a request line of 20 kB", "GET /" + strings.Repeat("a", 20000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "long_target"},
		{"an offer of h2c is not taken up", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200, ""},
		{"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\n" + body, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := gatewaytest.NewEndpoint(t, ok)
			g := start(t, options{}, e)
			client := g.dial()
			r := client.Do(c.request)
			if c.status == 0 {
				if r.StatusCode < 400 {
					t.Fatalf("got %d; want it refused", r.StatusCode)
				}
			} else if r.StatusCode != c.status {
				t.Fatalf("got %d %s; want %d", r.StatusCode, r.Text, c.status)
			}
			if r.StatusCode == 200 {
				if e.Count("") != 1 {
					t.Errorf("endpoint got %d requests; want 1", e.Count(""))
				}
				return
			}
			if !strings.Contains(r.Text, `"type":"`+problemBase+c.problem) || r.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %s %s; want problem %s", r.Header.Get("Content-Type"), r.Text, c.problem)
			}
			if e.Count("") != 0 {
				t.Errorf("endpoint got %d requests; want none", e.Count(""))
			}
			client.Send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			if next, err := client.Next("GET"); err == nil && next.StatusCode == 200 && c.status != 405 && c.status != 508 && c.status != 417 {
				t.Errorf("what followed was served: %d", next.StatusCode)
			}
		})
	}
}

// Whatever passes the check is read by fasthttp as the same request, and what is forwarded by net/http.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
		"POST http://b/x HTTP/1.1\r\nHost: a\r\nConnection: x-a, close\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.0\r\nX_A: 1\r\nVia: 1.1 x\r\nForwarded: for=a\r\n\r\n",
		"GET /%2e/.. HTTP/1.1\r\nHost: a:1\r\nA:\t b \r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	route := &route{Route: &Route{}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := &exchange{}
		rest := bufio.NewReaderSize(bytes.NewReader(raw), headBuffer)
		if x.read(rest) != nil {
			return
		}
		pieces := new(exchange)
		if err := pieces.read(bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(raw)), headBuffer)); err != nil ||
			!bytes.Equal(pieces.head.text, x.head.text) || pieces.head.facts != x.head.facts {
			t.Fatalf("%q: whole it is %+v, in pieces %+v %v", raw, x.head.facts, pieces.head.facts, err)
		}
		x.body.source(&x.head, rest)
		x.table, x.route = &table{Config: &Config{Via: "weir"}}, route
		x.conn = &conn{scheme: "http", ip: []byte("192.0.2.1"), forwarded: "for=192.0.2.1;proto=http", local: "198.51.100.1:80"}
		if x.check() != noProblem {
			return
		}
		var h fasthttp.RequestHeader
		theirs := bufio.NewReaderSize(bytes.NewReader(raw), headBuffer)
		if err := h.Read(theirs); err != nil {
			t.Fatalf("%q: fasthttp: %v", raw, err)
		}
		if string(h.Method()) != string(x.verb) || string(h.RequestURI()) != string(x.uri) || string(h.Protocol()) != string(x.proto) ||
			max(int64(h.ContentLength()), -1) != x.body.length && (h.ContentLength() != -2 || x.body.length != 0) ||
			h.ConnectionClose() != (x.head.closes || x.http10 && !x.head.keeps) || theirs.Buffered() != rest.Buffered() {
			t.Fatalf("%q: got %s %s %s, length %d, and %d bytes behind it; fasthttp reads %s %s %s, length %d, and %d bytes", raw, x.verb, x.uri, x.proto,
				x.body.length, rest.Buffered(), h.Method(), h.RequestURI(), h.Protocol(), h.ContentLength(), theirs.Buffered())
		}
		if x.rewrite(false) != noProblem {
			return
		}
		br := bufio.NewReader(strings.NewReader(string(x.out)))
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%q was forwarded as %q: %v", raw, x.out, err)
		}
		chunked := len(r.TransferEncoding) == 1
		if r.Method != string(h.Method()) || r.RequestURI != string(x.target) || len(x.host) > 0 && r.Host != string(x.host) ||
			chunked != (x.body.length < 0) || !chunked && r.ContentLength != x.body.length {
			t.Fatalf("%q was forwarded as %q, which reads %s %s, host %s, length %d", raw, x.out, r.Method, r.RequestURI, r.Host, r.ContentLength)
		}
		if br.Buffered() != 0 {
			t.Fatalf("%q was forwarded as %q, in which something follows", raw, x.out)
		}
		for name := range r.Header {
			ours := name == "Connection" && (x.trailers || x.upgrade != nil) || name == "Te" && x.trailers || name == "Upgrade" && x.upgrade != nil || name == "Expect" && x.expects
			if f := names.Find([]byte(name)); (f == hopField || f == connectionField || f == upgradeField || f == teField || f == expectField) && !ours {
				t.Fatalf("%q was forwarded as %q, with %s", raw, x.out, name)
			}
		}
	})
}
