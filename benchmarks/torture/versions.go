package torture

import "strings"

// versions: HTTP/1.0 on either side, and what is no HTTP/1.
func versions() []Case {
	const section = "9112 2.3"
	v := func(version string) string { return bare("GET /a "+version, "Host: a") }
	return []Case{
		{Name: "versions/HTTP 1.0 without Host", Section: "9112 3.2", Send: bare("GET /a HTTP/1.0"), Hold: all(statuses(200), saw("GET /a"), closes)},
		{Name: "versions/HTTP 1.0 is closed", Section: "9112 9.3", Send: v("HTTP/1.0"), Hold: all(served("GET /a"), closes)},
		{Name: "versions/HTTP 1.0 with keep-alive", Section: "9112 9.3", Send: bare("GET /a HTTP/1.0", "Host: a", "Connection: keep-alive"), Hold: all(served("GET /a"), either(closes, all(relayed("Connection", "keep-alive"), stays)))},
		{Name: "versions/HTTP 1.0 is forwarded as our own version", Section: "9112 2.3", Send: v("HTTP/1.0"), Hold: all(served("GET /a"), verdict("the endpoint got another version than HTTP/1.1", func(r *Result) bool { return strings.Contains(r.Seen[0].Raw, " HTTP/1.1\r\n") }))},
		{Name: "versions/HTTP 1.0 gets no chunks", Section: "9112 6.1", Send: v("HTTP/1.0"), Endpoint: answer(response("200 OK", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")), Hold: all(statuses(200), gets(0, "abc"), relayed("Transfer-Encoding", ""), verdict("the response is in chunks", func(r *Result) bool { return len(r.Responses[0].TransferEncoding) == 0 }), closes)},
		{Name: "versions/HTTP 1.0 gets no 1xx", Section: "9110 15.2", Send: v("HTTP/1.0"), Endpoint: answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + sized("200 OK", "ok")), Hold: all(statuses(200), gets(0, "ok"), noInterim)},
		{Name: "versions/HTTP 1.0 gets no 100", Section: "9110 10.1.1", Send: bare("POST /a HTTP/1.0", "Host: a", "Expect: 100-continue", "Content-Length: 3") + "abc", Hold: all(served("POST /a abc"), noInterim)},
		{Name: "versions/HTTP 1.0 answer to an HTTP 1.0 client is cut", Section: "9112 8", Send: v("HTTP/1.0"), Endpoint: last(response("200 OK", "abc", "Content-Length: 10")), Hold: cut},
		{Name: "versions/HTTP 1.2 is HTTP 1.1 or refused", Section: "9110 2.5", Send: v("HTTP/1.2"), Hold: either(served("GET /a"), refused(505))},
		{Name: "versions/HTTP 1.10", Section: section, Send: v("HTTP/1.10"), Hold: refused(505)},
		{Name: "versions/HTTP 2.0 in a request line", Section: section, Send: v("HTTP/2.0"), Hold: refused(505)},
		{Name: "versions/HTTP 3.0 in a request line", Section: section, Send: v("HTTP/3.0"), Hold: refused(505)},
		{Name: "versions/HTTP 0.9", Section: section, Slow: true, Client: slowly("GET /a\r\n\r\n"), Hold: refused(408, 505)},
		{Name: "versions/in small letters", Section: section, Send: v("http/1.1"), Hold: refused(505)},
		{Name: "versions/of another protocol", Section: section, Send: v("HTTQ/1.1"), Hold: refused(505)},
		{Name: "versions/without a number", Section: section, Send: v("HTTP/"), Hold: refused(505)},
		{Name: "versions/without a point", Section: section, Send: v("HTTP/11"), Hold: refused(505)},
		{Name: "versions/with a leading zero", Section: section, Send: v("HTTP/01.1"), Hold: refused(505)},
		{Name: "versions/with a plus", Section: section, Send: v("HTTP/+1.1"), Hold: refused(505)},
		{Name: "versions/with a blank behind it", Section: "9112 3", Send: v("HTTP/1.1 "), Hold: either(refused(505), all(first(200), clean, saw("GET /a")))},
		{Name: "versions/with text behind it", Section: section, Send: v("HTTP/1.1x"), Hold: refused(505)},
		{Name: "versions/preface of HTTP 2 and then HTTP 1", Section: "9113 3.4", Client: func(c *Client) {
			c.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled)
			c.More(quiet)
		}, Hold: unseen},
		{Name: "versions/TLS on a plain port", Section: "9112 2", Client: halfClosed("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n"), Hold: refused(405, 408, 501, 505)},
		{Name: "versions/endpoint of HTTP 1.0 that closes", Section: "9112 6.3", Send: request("GET /a"), Endpoint: last("HTTP/1.0 200 OK\r\n\r\nabc"), Hold: all(statuses(200), gets(0, "abc"), ourVersion)},
		{Name: "versions/endpoint of HTTP 1.0 that keeps alive", Section: "9112 9.3", Send: request("GET /a"), Endpoint: answer("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"), Hold: all(statuses(200), gets(0, "abc"), ourVersion)},
		{Name: "versions/endpoint of HTTP 2.0 in a status line", Section: section, Send: request("GET /a"), Endpoint: last("HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"), Hold: either(first(502), all(statuses(200), ourVersion))},
		{Name: "versions/endpoint of another protocol", Section: section, Send: request("GET /a"), Endpoint: last("SSH-2.0-OpenSSH_9.2\r\n"), Hold: first(502)},
		{Name: "versions/endpoint of HTTP 0.9", Section: section, Send: request("GET /a"), Endpoint: last("<html>no head</html>"), Hold: first(502)},
	}
}

func noInterim(r *Result) error {
	return verdict("the client got a 1xx", func(r *Result) bool { return len(r.Interim) == 0 })(r)
}

func ourVersion(r *Result) error {
	return verdict("the client got a version that is not HTTP/1.1", func(r *Result) bool { return r.Responses[0].Proto == "HTTP/1.1" })(r)
}
