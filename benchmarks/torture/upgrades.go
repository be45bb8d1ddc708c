package torture

import "strings"

// upgrades: WebSocket (RFC 6455), and what else hides behind Upgrade.
func upgrades() []Case {
	const section = "6455 4.2.2"
	// Key and accept value are those of RFC 6455, section 1.3.
	ask := request("GET /chat", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	accept := response("101 Switching Protocols", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
	hello := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" // a masked "Hello", RFC 6455, section 5.7
	any := func(*Result) error { return nil }
	switched := all(statuses(101), relayed("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), relayed("Upgrade", "websocket"))
	// A tunnel that a gateway does not open must not be half open either.
	no := refused(403, 404, 426, 501)
	echo := func(x *Exchange) {
		x.Write(accept)
		b := make([]byte, len(hello))
		for x.Next(b) {
			x.Write(string(b))
		}
		x.Close()
	}
	return []Case{
		{Name: "upgrades/WebSocket", Section: section, Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Send(hello)
			c.Want("through the tunnel", c.Next(len(hello)), hello)
		}, Endpoint: echo, Hold: switched},
		{Name: "upgrades/WebSocket in other letters, in a list", Section: "6455 4.2.1", Client: func(c *Client) {
			c.Send(strings.NewReplacer("Connection: Upgrade", "Connection: keep-alive, uPGRADE", "Upgrade: websocket", "Upgrade: WebSocket").Replace(ask))
			c.Read(1)
			c.Send(hello)
			c.Want("through the tunnel", c.Next(len(hello)), hello)
		}, Endpoint: echo, Hold: statuses(101)},
		{Name: "upgrades/frames behind the request at once", Section: section, Client: func(c *Client) {
			c.Send(ask + hello)
			c.Read(1)
			c.Want("through the tunnel", c.Next(len(hello)), hello)
		}, Endpoint: echo, Hold: switched},
		{Name: "upgrades/frames behind the 101 at once", Section: section, Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Want("through the tunnel", c.Next(len(hello)), hello)
		}, Endpoint: func(x *Exchange) { x.Write(accept + hello); x.Gone() }, Hold: switched},
		{Name: "upgrades/the endpoint ends the tunnel", Section: "6455 7.1.1", Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Want("through the tunnel", c.Next(3), "bye")
		}, Endpoint: last(accept + "bye"), Hold: all(switched, closes)},
		{Name: "upgrades/the client ends the tunnel", Section: "6455 7.1.1", Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Close()
			c.Hold("the endpoint's side of the tunnel stays open", c.Wait())
		}, Endpoint: func(x *Exchange) {
			x.Write(accept)
			if x.Gone() {
				x.Tell()
			}
		}, Hold: switched},
		{Name: "upgrades/a mebibyte through the tunnel", Section: section, Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			big := strings.Repeat("m", 1<<20)
			c.Want("through the tunnel", c.Next(len(big)), big)
		}, Endpoint: func(x *Exchange) { x.Write(accept + strings.Repeat("m", 1<<20)); x.Gone() }, Hold: switched},
		{Name: "upgrades/the endpoint does not switch", Section: "9110 7.8", Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Send(request("GET /b"))
			c.Read(1)
		}, Endpoint: ok, Hold: either(all(statuses(200, 200), saw("GET /chat", "GET /b")), all(statuses(200), closes), no)},
		{Name: "upgrades/the endpoint says 426", Section: "6455 4.4", Send: ask, Endpoint: answer(sized("426 Upgrade Required", "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8")), Hold: all(statuses(426), saw("GET /chat"))},
		{Name: "upgrades/a tunnel that the endpoint refused smuggles nothing", Section: "9110 7.8", Client: func(c *Client) {
			c.Send(strings.Replace(ask, "Version: 13", "Version: 777", 1) + hello)
			c.Read(1)
			c.More(quiet)
		}, Endpoint: answer(sized("426 Upgrade Required", "")), Hold: all(first(426, 400, 501), verdict("bytes behind a refused upgrade reached the endpoint", func(r *Result) bool { return len(r.Seen) <= 1 }))},
		{Name: "upgrades/101 for another protocol", Section: "9110 7.8", Send: ask, Endpoint: last(response("101 Switching Protocols", "raw", "Connection: Upgrade", "Upgrade: other")), Hold: either(first(502), no)},
		{Name: "upgrades/101 without Upgrade", Section: "9110 7.8", Send: ask, Endpoint: last(response("101 Switching Protocols", "raw")), Hold: either(first(502), no)},
		{Name: "upgrades/WebSocket with POST and a body", Section: "6455 4.1", Send: request("POST /chat", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3") + "abc", Hold: either(served("POST /chat abc"), no, refused(405))},
		{Name: "upgrades/WebSocket over HTTP 1.0", Section: "9110 7.8", Send: bare("GET /chat HTTP/1.0", "Host: a", "Connection: Upgrade", "Upgrade: websocket"), Hold: either(no, all(served("GET /chat"), verdict("an HTTP/1.0 client's Upgrade was passed on", func(r *Result) bool {
			return !hasLine(strings.ToLower(r.Seen[0].Raw), "connection", "upgrade")
		})))},
		{Name: "upgrades/the tunnel's connection is not used again", Section: "9110 7.8", Client: func(c *Client) {
			c.Send(ask)
			c.Read(1)
			c.Close()
			c.Hold("a canary was not answered", askCanary(c.gateway, "upgrades") == nil)
		}, Endpoint: func(x *Exchange) { x.Write(accept); x.Gone() }, Hold: any},
	}
}
