package torture

import (
	"net/http"
	"strings"
)

// interims: 1xx responses of endpoints (RFC 9110, section 15.2; 103 is RFC 8297).
func interims() []Case {
	const section = "9110 15.2"
	get := request("GET /a")
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
	final := sized("200 OK", "ok")
	hinted := verdict("103 was not relayed with its fields", func(r *Result) bool {
		return len(r.Interim) > 0 && r.Interim[0].StatusCode == http.StatusEarlyHints && r.Interim[0].Header.Get("Link") == "</a.css>; rel=preload"
	})
	count := func(n int) Check {
		return verdict("not as many interim responses as the endpoint sent", func(r *Result) bool { return len(r.Interim) == n })
	}
	good := all(statuses(200), gets(0, "ok"))
	// The connection must know that the final response was it.
	twice := func(method string) func(*Client) {
		return func(c *Client) {
			c.Asks(method, "GET")
			c.Send(request(method + " /a"))
			c.Read(1)
			c.Send(request("GET /b"))
			c.Read(1)
		}
	}
	then := func(raw string) func(*Exchange) {
		return func(x *Exchange) {
			if x.Number == 1 {
				x.Write(raw)
				return
			}
			ok(x)
		}
	}
	both := func(status int) Check { return all(statuses(status, 200), gets(1, "ok")) }
	return []Case{
		{Name: "interims/103 is relayed", Section: "8297 2", Client: twice("GET"), Endpoint: then(hint + final), Hold: all(both(200), hinted, count(1))},
		{Name: "interims/103 is relayed before the response is there", Section: "8297 2", Client: func(c *Client) {
			c.Send(get)
			r, err := c.Head()
			c.Hold("103 does not come before the final response", err == nil && r.StatusCode == http.StatusEarlyHints)
			c.Tell()
			c.Read(1)
		}, Endpoint: func(x *Exchange) {
			x.Write(hint)
			if x.Wait() {
				x.Write(final)
			}
		}, Hold: good},
		{Name: "interims/two are relayed", Section: section, Client: twice("GET"), Endpoint: then(hint + hint + final), Hold: all(both(200), hinted, count(2))},
		{Name: "interims/102 is relayed", Section: section, Client: twice("GET"), Endpoint: then("HTTP/1.1 102 Processing\r\n\r\n" + final), Hold: all(both(200), count(1))},
		{Name: "interims/one that nobody knows", Section: section, Client: twice("GET"), Endpoint: then("HTTP/1.1 199 Odd\r\nX-A: v\r\n\r\n" + final), Hold: both(200)},
		{Name: "interims/fields of one are not the response's", Section: section, Send: get, Endpoint: answer("HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nX-A: v\r\n\r\n" + final), Hold: all(good, relayed("X-A", ""), relayed("Set-Cookie", ""))},
		{Name: "interims/fields of its connection are not relayed", Section: "9110 7.6.1", Send: get, Endpoint: answer("HTTP/1.1 103 Early Hints\r\nConnection: X-A\r\nX-A: v\r\nKeep-Alive: timeout=9\r\n\r\n" + final), Hold: all(good, noWire("X-A"), noWire("timeout=9"))},
		{Name: "interims/one with a length has no body", Section: "9112 6.3", Send: get, Endpoint: answer("HTTP/1.1 103 Early Hints\r\nContent-Length: 50\r\n\r\n" + final), Hold: either(first(502), good)},
		{Name: "interims/one with a coding has no body", Section: "9112 6.1", Send: get, Endpoint: answer("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + final), Hold: either(first(502), good)},
		{Name: "interims/a flood of them", Section: section, Send: get, Endpoint: answer(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 300) + final), Hold: either(all(first(502), single), good)},
		{Name: "interims/a flood that has no end", Section: "9110 15.6.5", Send: get, Endpoint: func(x *Exchange) {
			flood := strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100)
			for range 20_000 {
				if x.Write(flood); x.closed {
					return
				}
			}
		}, Hold: either(first(502, 504), cut)},
		{Name: "interims/one and then nothing", Section: "9110 15.6.3", Send: get, Endpoint: last(hint), Hold: cut},
		{Name: "interims/101 that nobody asked for", Section: "9110 7.8", Send: get, Endpoint: last("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw"), Hold: first(502)},
		{Name: "interims/101 that nobody asked for, without fields", Section: "9110 7.8", Send: get, Endpoint: last("HTTP/1.1 101 Switching Protocols\r\n\r\n" + final), Hold: first(502)},
		{Name: "interims/malformed", Section: "9112 4", Send: get, Endpoint: last("HTTP/1.1 103 Early Hints\r\nbad line\r\n\r\n" + final), Hold: either(all(first(502), single), all(good, noWire("bad line")))},
		{Name: "interims/before a HEAD's answer", Section: section, Client: twice("HEAD"), Endpoint: then(hint + response("200 OK", "", "Content-Length: 2")), Hold: all(both(200), hinted)},
		{Name: "interims/before a 304", Section: section, Client: twice("GET"), Endpoint: then(hint + response("304 Not Modified", "")), Hold: all(both(304), hinted)},
	}
}
