package torture

// framing: how long a request is said to be.
func framing() []Case {
	const section = "9112 6.3"
	post := func(body string, fields ...string) string { return request("POST /a", fields...) + body }
	return []Case{
		{Name: "framing/length", Section: "9112 6.2", Send: post("abc", "Content-Length: 3"), Hold: all(served("POST /a abc"), stays)},
		{Name: "framing/length of zero", Section: "9112 6.2", Send: post("", "Content-Length: 0"), Hold: all(served("POST /a"), stays)},
		{Name: "framing/no length and no coding is no body", Section: section, Send: post(""), Hold: served("POST /a")},
		{Name: "framing/length with leading zeros", Section: "9110 8.6", Send: post("abc", "Content-Length: 003"), Hold: either(served("POST /a abc"), refusedClosing())},
		{Name: "framing/equal lengths in two fields", Section: "9110 8.6", Send: post("abc", "Content-Length: 3", "Content-Length: 3"), Hold: either(all(served("POST /a abc"), oneLength), refusedClosing())},
		{Name: "framing/equal lengths in a list", Section: "9110 8.6", Send: post("abc", "Content-Length: 3, 3"), Hold: either(all(served("POST /a abc"), oneLength), refusedClosing())},
		{Name: "framing/two lengths", Section: section, Send: post("abc"+smuggled, "Content-Length: 3", "Content-Length: 35"), Hold: refusedClosing()},
		{Name: "framing/two lengths in a list", Section: section, Send: post("abc"+smuggled, "Content-Length: 3, 35"), Hold: refusedClosing()},
		{Name: "framing/length and a trailing comma", Section: section, Send: post("abc", "Content-Length: 3,"), Hold: either(all(served("POST /a abc"), oneLength), refusedClosing())},
		{Name: "framing/length with a plus", Section: section, Send: post("abc", "Content-Length: +3"), Hold: refusedClosing()},
		{Name: "framing/negative length", Section: section, Send: post("abc", "Content-Length: -3"), Hold: refusedClosing()},
		{Name: "framing/hexadecimal length", Section: section, Send: post("abc", "Content-Length: 0x3"), Hold: refusedClosing()},
		{Name: "framing/length with a fraction", Section: section, Send: post("abc", "Content-Length: 3.0"), Hold: refusedClosing()},
		{Name: "framing/length with an exponent", Section: section, Send: post("abc", "Content-Length: 3e0"), Hold: refusedClosing()},
		{Name: "framing/length with an inner blank", Section: section, Send: post("abc", "Content-Length: 1 3"), Hold: refusedClosing()},
		{Name: "framing/length with an underscore", Section: section, Send: post("abc", "Content-Length: 1_0"), Hold: refusedClosing()},
		{Name: "framing/empty length", Section: section, Send: post("", "Content-Length:"), Hold: refusedClosing()},
		{Name: "framing/length over 64 bits", Section: "9110 8.6", Send: post("abc", "Content-Length: 18446744073709551619"), Hold: refusedClosing(413)},
		{Name: "framing/length in other digits", Section: section, Send: post("abc", "Content-Length: \xd9\xa3"), Hold: refusedClosing()},
		{Name: "framing/coding", Section: "9112 7.1", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), Hold: all(served("POST /a abc"), oneLength, stays)},
		{Name: "framing/coding in another case", Section: "9112 7", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: ChUnKeD"), Hold: all(served("POST /a abc"), oneLength)},
		{Name: "framing/coding with a tab before it", Section: "9112 5.1", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding:\tchunked"), Hold: either(all(served("POST /a abc"), oneLength), refusedClosing(501))},
		{Name: "framing/unknown coding before chunked", Section: "9112 6.1", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: exotic, chunked"), Hold: refusedClosing(422, 501)},
		{Name: "framing/gzip before chunked", Section: "9112 6.1", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: gzip, chunked"), Hold: either(refusedClosing(422, 501), all(first(200), codingKept("gzip")))},
		{Name: "framing/chunked is not the last coding", Section: section, Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked, gzip"), Hold: refusedClosing(422, 501)},
		{Name: "framing/chunked twice", Section: "9112 6.1", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked, chunked"), Hold: refusedClosing(422, 501)},
		{Name: "framing/coding unknown and alone", Section: section, Send: post("abc", "Transfer-Encoding: xchunked"), Hold: refusedClosing(422, 501)},
		{Name: "framing/coding with a parameter", Section: "9112 7", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked;q=1"), Hold: refusedClosing(422, 501)},
		{Name: "framing/coding in quotes", Section: "9112 7", Send: post("3\r\nabc\r\n0\r\n\r\n", `Transfer-Encoding: "chunked"`), Hold: refusedClosing(422, 501)},
		{Name: "framing/empty coding", Section: section, Send: post("", "Transfer-Encoding:"), Hold: either(refusedClosing(422, 501), all(served("POST /a"), oneLength))},
		{Name: "framing/coding identity is no more", Section: "9112 7", Send: post("abc", "Transfer-Encoding: identity", "Content-Length: 3"), Hold: refusedClosing(422, 501)},
		{Name: "framing/coding with a vertical tab", Section: "9110 5.5", Send: post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: \vchunked"), Hold: refusedClosing(422, 501)},
		{Name: "framing/coding for HTTP 1.0", Section: "9112 6.1", Send: bare("POST /a HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", Hold: either(refusedClosing(422, 501), all(first(200), saw("POST /a abc"), closes))},
		{Name: "framing/body of a GET by length", Section: "9110 9.3.1", Send: request("GET /a", "Content-Length: 42") + smuggled + "1234567", Hold: either(served("GET /a "+smuggled+"1234567"), refusedClosing(), all(first(413, 415, 405), unseen))},
		{Name: "framing/body of a GET in chunks", Section: "9110 9.3.1", Send: request("GET /a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", Hold: either(all(served("GET /a abc"), oneLength), refusedClosing(), all(first(413, 405), unseen))},
		{Name: "framing/body of a HEAD", Section: "9110 9.3.2", Send: request("HEAD /a", "Content-Length: 3") + "abc", Hold: either(served("HEAD /a abc"), refusedClosing())},
		{Name: "framing/body of a DELETE", Section: "9110 9.3.5", Send: request("DELETE /a", "Content-Length: 3") + "abc", Hold: either(served("DELETE /a abc"), refusedClosing())},
		{Name: "framing/body of an OPTIONS in chunks", Section: "9110 9.3.7", Send: request("OPTIONS /a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", Hold: either(served("OPTIONS /a abc"), refusedClosing())},
		{Name: "framing/body of an unknown method", Section: "9112 6", Send: request("FROB /a", "Content-Length: 3") + "abc", Hold: either(served("FROB /a abc"), all(first(405, 501), unseen))},
	}
}

// oneLength wants the first forwarded request to say once at most how long it is.
func oneLength(r *Result) error {
	return verdict("the forwarded request has two framings", func(r *Result) bool {
		return len(r.Seen) > 0 && framings(r.Seen[0].Raw) <= 1
	})(r)
}

// codingKept wants the forwarded request to name that coding.
func codingKept(name string) Check {
	return verdict("the forwarded request has lost its coding "+name, func(r *Result) bool {
		return len(r.Seen) > 0 && hasLine(r.Seen[0].Raw, "transfer-encoding", name)
	})
}
