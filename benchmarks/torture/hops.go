package torture

import "strings"

// hops: what belongs to one connection only, and what a gateway adds.
func hops() []Case {
	const section = "9110 7.6.1"
	get := func(fields ...string) string { return request("GET /a", fields...) }
	answered := func(fields ...string) func(*Exchange) { return answer(sized("200 OK", "ok", fields...)) }
	good := served("GET /a")
	return []Case{
		{Name: "hops/nominated field is removed", Section: section, Send: get("Connection: X-A", "X-A: v"), Hold: all(good, forwarded("X-A", ""))},
		{Name: "hops/nominated fields of all Connection lines are removed", Section: section, Send: get("Connection: X-A", "X-A: v", "connection: close, x-b", "X-B: v"), Hold: all(good, forwarded("X-A", ""), forwarded("X-B", ""))},
		{Name: "hops/nomination in other letters and between blanks", Section: section, Send: get("Connection:  ,x-A\t ,", "X-A: v"), Hold: all(good, forwarded("X-A", ""))},
		{Name: "hops/nominated field that stands before Connection", Section: section, Send: get("X-A: v", "X-A: w", "Connection: x-a"), Hold: all(good, forwarded("X-A", ""))},
		{Name: "hops/Keep-Alive", Section: section, Send: get("Keep-Alive: timeout=5"), Hold: all(good, forwarded("Keep-Alive", ""))},
		{Name: "hops/Proxy-Connection", Section: section, Send: get("Proxy-Connection: keep-alive"), Hold: all(good, forwarded("Proxy-Connection", ""))},
		{Name: "hops/TE is ours alone", Section: "9110 10.1.4", Send: get("TE: gzip", "Connection: TE"), Hold: all(good, noTE("gzip"))},
		{Name: "hops/Upgrade without Connection is not passed as one", Section: "9110 7.8", Send: get("Upgrade: websocket"), Hold: all(good, verdict("the endpoint is asked for an upgrade that the client did not ask for", func(r *Result) bool {
			return !hasLine(strings.ToLower(r.Seen[0].Raw), "connection", "upgrade")
		}))},
		{Name: "hops/Upgrade to what we do not know", Section: "9110 7.8", Send: get("Connection: Upgrade", "Upgrade: TLS/1.0"), Hold: either(good, refused(426, 501))},
		{Name: "hops/Upgrade to h2c is not passed", Section: "9113 3.1", Send: get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), Hold: either(refused(426, 501), all(good, forwarded("HTTP2-Settings", ""), forwarded("Upgrade", "")))},
		{Name: "hops/Cache-Control cannot be nominated away", Section: section, Send: get("Connection: Cache-Control", "Cache-Control: no-store"), Hold: either(refused(), good)},
		{Name: "hops/our own fields cannot be nominated away", Section: section, Send: get("Connection: X-Forwarded-For, Forwarded, Via"), Hold: all(good, hasOurAddress)},
		{Name: "hops/Connection close ends the client's connection", Section: "9112 9.6", Send: get("Connection: close"), Hold: all(good, saysClose(true), closes)},
		{Name: "hops/Connection close in other letters", Section: "9112 9.6", Send: get("Connection: cLoSe"), Hold: all(good, closes)},
		{Name: "hops/nominated field of a response is removed", Section: section, Send: get(), Endpoint: answered("Connection: X-A", "X-A: v"), Hold: all(good, relayed("X-A", ""))},
		{Name: "hops/nominated fields of all lines of a response", Section: section, Send: get(), Endpoint: answered("Connection: X-A", "X-A: v", "Connection: X-B", "X-B: v"), Hold: all(good, relayed("X-A", ""), relayed("X-B", ""))},
		{Name: "hops/Keep-Alive of a response", Section: section, Send: get(), Endpoint: answered("Keep-Alive: timeout=17"), Hold: all(good, verdict("the endpoint's Keep-Alive was relayed", func(r *Result) bool { return !strings.Contains(r.Responses[0].Header.Get("Keep-Alive"), "17") }))},
		{Name: "hops/Proxy-Connection of a response", Section: section, Send: get(), Endpoint: answered("Proxy-Connection: close"), Hold: all(good, relayed("Proxy-Connection", ""))},
		{Name: "hops/Connection close of the endpoint is not the client's", Section: section, Send: get(), Endpoint: last(sized("200 OK", "ok", "Connection: close")), Hold: all(good, stays, saysClose(false))},
		{Name: "hops/length nominated away by a response", Section: section, Send: get(), Endpoint: answered("Connection: Content-Length"), Hold: either(first(502), all(good, gets(0, "ok")))},
		{Name: "hops/Via in a request", Section: "9110 7.6.3", Send: get(), Hold: all(good, via("1.1 "))},
		{Name: "hops/Via is appended", Section: "9110 7.6.3", Send: get("Via: 1.0 first, 1.1 second"), Hold: all(good, via("1.0 first, 1.1 second, 1.1 "))},
		{Name: "hops/a loop ends", Section: "9110 7.6", Client: looped(get()), Endpoint: loops, Hold: verdict("the request went round and round", func(r *Result) bool { return len(r.Seen) < maxLoops })},
		{Name: "hops/Max-Forwards of an OPTIONS is counted down", Section: "9110 7.6.2", Send: request("OPTIONS /a", "Max-Forwards: 2"), Hold: all(served("OPTIONS /a"), forwarded("Max-Forwards", "1"))},
		{Name: "hops/Max-Forwards 0 of an OPTIONS ends here", Section: "9110 7.6.2", Send: request("OPTIONS /a", "Max-Forwards: 0"), Hold: all(first(200, 204, 400, 403, 404, 405, 501), unseen)},
		{Name: "hops/Max-Forwards 0 of a TRACE ends here", Section: "9110 7.6.2", Send: request("TRACE /a", "Max-Forwards: 0"), Hold: all(first(200, 400, 403, 405, 501), unseen)},
		{Name: "hops/Max-Forwards of a GET is left alone", Section: "9110 7.6.2", Send: get("Max-Forwards: 0"), Hold: good},
		{Name: "hops/Date is made if the endpoint sends none", Section: "9110 6.6.1", Send: get(), Hold: all(good, verdict("there is no Date", func(r *Result) bool { return r.Responses[0].Header.Get("Date") != "" }))},
		{Name: "hops/Date of the endpoint stays", Section: "9110 6.6.1", Send: get(), Endpoint: answered("Date: Tue, 15 Nov 1994 08:12:31 GMT"), Hold: all(good, relayed("Date", "Tue, 15 Nov 1994 08:12:31 GMT"))},
		{Name: "hops/Server of the endpoint stays", Section: "9110 7.7", Send: get(), Endpoint: answered("Server: theirs/1"), Hold: all(good, relayed("Server", "theirs/1"))},
	}
}

// maxLoops is how often the endpoint sends a request back to the gateway.
const maxLoops = 12

// looped sends a request whose field tells the endpoint where the gateway is, and waits until the loop is over.
func looped(text string) func(*Client) {
	return func(c *Client) {
		c.Send(strings.Replace(text, "\r\n\r\n", "\r\nX-Gateway: "+c.gateway+"\r\n\r\n", 1))
		c.Read(1)
	}
}

// loops is an endpoint that sends what it gets to the gateway again, with all that the gateway has added.
func loops(x *Exchange) {
	if x.Number >= maxLoops {
		ok(x)
		return
	}
	c, err := dial(x.Request.Header.Get("X-Gateway"), nil)
	if err != nil {
		ok(x)
		return
	}
	defer c.Close()
	c.Send(x.Raw)
	if !c.Read(1) {
		x.Close()
		return
	}
	x.Write(sized(c.Responses[0].Status, c.Responses[0].Text))
}

// via wants the Via of the first forwarded request to begin like this and to name the gateway as well.
func via(prefix string) Check {
	return verdict("Via does not begin with "+prefix+" and name the gateway behind it", func(r *Result) bool {
		got := strings.Join(r.Seen[0].Request.Header.Values("Via"), ", ")
		return strings.HasPrefix(got, prefix) && len(got) > len(prefix)
	})
}

// saysClose wants the first response to announce the end of the connection, or not to.
func saysClose(want bool) Check {
	return verdict("Connection: close is not said rightly", func(r *Result) bool { return r.Responses[0].Close == want })
}

// noTE wants a coding not to be offered to the endpoint.
func noTE(coding string) Check {
	return verdict("the endpoint is offered a coding that the client can read, and we cannot", func(r *Result) bool {
		return !strings.Contains(strings.Join(r.Seen[0].Request.Header.Values("TE"), ","), coding)
	})
}

// hasOurAddress wants the client's address in one of the fields that say it.
func hasOurAddress(r *Result) error {
	return verdict("the endpoint does not learn the client's address", func(r *Result) bool {
		h := r.Seen[0].Request.Header
		return strings.Contains(h.Get("X-Forwarded-For"), "127.0.0.1") && h.Get("Via") != ""
	})(r)
}
