package torture

// responseFraming: how long a response is said to be, by endpoints that a gateway cannot trust.
func responseFraming() []Case {
	const section = "9112 6.3"
	get := request("GET /a")
	poison := sized("200 OK", "poison")
	chunked := func(body string) func(*Exchange) {
		return answer(response("200 OK", body, "Transfer-Encoding: chunked"))
	}
	// A gateway may find out what is wrong after it has sent the head: then the client must see that the rest is missing.
	bad := all(single, cut)
	abc := all(statuses(200), gets(0, "abc"))
	return []Case{
		{Name: "response framing/length and coding", Section: section, Send: get, Endpoint: last(response("200 OK", "3\r\nabc\r\n0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked")), Hold: either(first(502), all(abc, relayed("Content-Length", "")))},
		{Name: "response framing/coding and length, and a response behind them", Section: section, Send: get, Endpoint: answer(response("200 OK", "0\r\n\r\n"+poison, "Transfer-Encoding: chunked", "Content-Length: 5")), Hold: all(first(200, 502), single)},
		{Name: "response framing/two lengths", Section: section, Send: get, Endpoint: answer(response("200 OK", "abc"+poison, "Content-Length: 3", "Content-Length: 5")), Hold: first(502)},
		{Name: "response framing/two lengths in a list", Section: section, Send: get, Endpoint: answer(response("200 OK", "abc", "Content-Length: 3, 5")), Hold: first(502)},
		{Name: "response framing/equal lengths", Section: section, Send: get, Endpoint: answer(response("200 OK", "abc", "Content-Length: 3", "Content-Length: 3")), Hold: either(first(502), all(abc, relayed("Content-Length", "3")))},
		{Name: "response framing/negative length", Section: section, Send: get, Endpoint: last(response("200 OK", "abc", "Content-Length: -3")), Hold: first(502)},
		{Name: "response framing/length with a plus", Section: section, Send: get, Endpoint: last(response("200 OK", "abc", "Content-Length: +3")), Hold: first(502)},
		{Name: "response framing/length with a letter", Section: section, Send: get, Endpoint: last(response("200 OK", "abc", "Content-Length: 3x")), Hold: first(502)},
		{Name: "response framing/length over 64 bits", Section: "9110 8.6", Send: get, Endpoint: last(response("200 OK", "abc", "Content-Length: 18446744073709551619")), Hold: first(502)},
		{Name: "response framing/empty length", Section: section, Send: get, Endpoint: last(response("200 OK", "abc", "Content-Length:")), Hold: first(502)},
		{Name: "response framing/more than its length", Section: section, Send: get, Endpoint: answer(response("200 OK", "abcdef", "Content-Length: 3")), Hold: all(either(first(502), abc), single)},
		{Name: "response framing/unknown coding", Section: "9112 6.1", Send: get, Endpoint: last(response("200 OK", "abc", "Transfer-Encoding: exotic")), Hold: either(first(502), verdict("the coding was lost", func(r *Result) bool {
			return len(r.Responses) == 1 && r.Responses[0].Text == "abc" && hasLine(r.wire.String(), "transfer-encoding", "exotic")
		}))},
		{Name: "response framing/chunked twice", Section: "9112 6.1", Send: get, Endpoint: last(response("200 OK", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked, chunked")), Hold: first(502)},
		{Name: "response framing/two coding lines", Section: "9112 6.1", Send: get, Endpoint: last(response("200 OK", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")), Hold: either(first(502), all(single, cut))},
		{Name: "response framing/coding of HTTP 1.0", Section: "9112 6.1", Send: get, Endpoint: last("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), Hold: either(first(502), abc)},
		{Name: "response framing/until the end of the connection", Section: section, Send: get, Endpoint: last(response("200 OK", "abc")), Hold: abc},
		{Name: "response framing/until the end of the connection, with a response in it", Section: section, Send: get, Endpoint: last(response("200 OK", poison)), Hold: all(statuses(200), gets(0, poison), single)},
		{Name: "response framing/chunks", Section: "9112 7.1", Send: get, Endpoint: chunked("1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"), Hold: all(abc, stays)},
		{Name: "response framing/chunk size with 0x", Section: "9112 7.1", Send: get, Endpoint: chunked("0x3\r\nabc\r\n0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk size with a sign", Section: "9112 7.1", Send: get, Endpoint: chunked("-3\r\nabc\r\n0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk size over 64 bits", Section: "9112 7.1", Send: get, Endpoint: chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk data without an end", Section: "9112 7.1", Send: get, Endpoint: chunked("3\r\nabc0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk data ends with other bytes", Section: "9112 7.1", Send: get, Endpoint: chunked("3\r\nabcXX0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk line with LF", Section: "9112 7.1", Send: get, Endpoint: chunked("3;a\nb\r\nabc\r\n0\r\n\r\n"), Hold: bad},
		{Name: "response framing/chunk line without a size", Section: "9112 7.1", Send: get, Endpoint: chunked("\r\nabc\r\n0\r\n\r\n"), Hold: bad},
		{Name: "response framing/bytes behind the last chunk", Section: "9112 7.1", Send: get, Endpoint: chunked("3\r\nabc\r\n0\r\n\r\n" + poison), Hold: all(abc, single)},
		{Name: "response framing/trailers", Section: "9112 7.1.2", Send: request("GET /a", "TE: trailers", "Connection: TE"), Endpoint: answer(response("200 OK", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Sum")), Hold: all(abc, relayed("X-Sum", ""), trailer("1"))},
		{Name: "response framing/trailers for a client that does not ask", Section: "9110 6.5.1", Send: get, Endpoint: chunked("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), Hold: all(abc, relayed("X-Sum", ""), stays)},
		{Name: "response framing/trailers with a length", Section: "9110 6.5.1", Send: get, Endpoint: chunked("3\r\nabc\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n"), Hold: either(bad, all(abc, relayed("Content-Length", ""), relayed("Set-Cookie", ""), noWire("Content-Length: 9")))},
	}
}

// trailer wants X-Sum behind the body.
func trailer(want string) Check {
	return verdict("the trailer was not relayed", func(r *Result) bool { return r.Responses[0].Trailer.Get("X-Sum") == want })
}
