package torture

import "strings"

// truncations: messages that end too early must look like it on the other side (RFC 9112, section 8).
func truncations() []Case {
	const section = "9112 8"
	var cases []Case
	upload := func(name, text string) {
		cases = append(cases, Case{Name: "truncations/upload ends " + name, Section: section, Client: func(c *Client) {
			c.Send(text)
			c.CloseWrite()
			c.Read(1)
		}, Hold: all(unfinished, first(0, 400, 408, 499, 502))})
	}
	post := func(body string) string { return request("POST /a", "Transfer-Encoding: chunked") + body }
	upload("within its length", request("POST /a", "Content-Length: 10")+"abc")
	upload("before its first byte", request("POST /a", "Content-Length: 10"))
	upload("within a size line", post("3\r\nabc\r\n1"))
	upload("within an extension", post("3\r\nabc\r\n3;a=b"))
	upload("within a chunk", post("5\r\nabc"))
	upload("behind a chunk's data", post("3\r\nabc"))
	upload("between chunks", post("3\r\nabc\r\n"))
	upload("behind the last size line", post("3\r\nabc\r\n0\r\n"))
	upload("within a trailer", post("3\r\nabc\r\n0\r\nX-Sum: 1"))
	upload("behind a trailer", post("3\r\nabc\r\n0\r\nX-Sum: 1\r\n"))
	upload("within a mebibyte", request("POST /a", "Content-Length: 2097152")+strings.Repeat("u", 1<<20))
	cases = append(cases,
		Case{Name: "truncations/head ends early", Section: section, Client: halfClosed("GET /a HTTP/1.1\r\nHost: a\r\n"), Hold: refused(408)},
		Case{Name: "truncations/head ends within the last CRLF", Section: section, Client: halfClosed("GET /a HTTP/1.1\r\nHost: a\r\n\r"), Hold: refused(408)},
		Case{Name: "truncations/upload ends with a reset", Section: section, Client: func(c *Client) {
			c.Send(post("3\r\nabc\r\n"))
			c.Wait()
			c.Reset()
		}, Endpoint: func(x *Exchange) { x.Tell(); x.Body() }, Hold: unfinished},
	)
	download := func(name string, script func(*Exchange)) {
		cases = append(cases, Case{Name: "truncations/download ends " + name, Section: section, Send: request("GET /a"), Endpoint: script, Hold: all(cut, single)})
	}
	chunked := func(body string) string { return response("200 OK", body, "Transfer-Encoding: chunked") }
	download("within its length", last(response("200 OK", "abc", "Content-Length: 10")))
	download("before its first byte", last(response("200 OK", "", "Content-Length: 10")))
	download("within a size line", last(chunked("3\r\nabc\r\n1")))
	download("within a chunk", last(chunked("5\r\nabc")))
	download("between chunks", last(chunked("3\r\nabc\r\n")))
	download("before the first chunk", last(chunked("")))
	download("behind the last size line", last(chunked("3\r\nabc\r\n0\r\n")))
	download("within a trailer", last(chunked("3\r\nabc\r\n0\r\nX-Sum: 1\r\n")))
	download("with a reset within its length", func(x *Exchange) {
		x.Body()
		x.Write(response("200 OK", "abc", "Content-Length: 10"))
		x.Reset()
	})
	download("with a reset between chunks", func(x *Exchange) {
		x.Body()
		x.Write(chunked("3\r\nabc\r\n"))
		x.Reset()
	})
	download("within a mebibyte", last(response("200 OK", strings.Repeat("d", 1<<20), "Content-Length: 2097152")))
	return cases
}
