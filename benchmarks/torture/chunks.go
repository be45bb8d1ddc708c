package torture

import (
	"fmt"
	"strings"
)

// chunks: request bodies in chunks, well and badly made.
func chunks() []Case {
	const section = "9112 7.1"
	post := func(body string) string { return request("POST /a", "Transfer-Encoding: chunked") + body }
	abc := served("POST /a abc")
	good := all(abc, stays)
	return []Case{
		{Name: "chunks/several", Section: section, Send: post("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), Hold: good},
		{Name: "chunks/none but the last", Section: section, Send: post("0\r\n\r\n"), Hold: all(served("POST /a"), stays)},
		{Name: "chunks/size with leading zeros", Section: section, Send: post("00003\r\nabc\r\n000\r\n\r\n"), Hold: good},
		{Name: "chunks/size in capitals", Section: section, Send: post("A\r\n0123456789\r\n0\r\n\r\n"), Hold: served("POST /a 0123456789")},
		{Name: "chunks/extension is ignored", Section: "9112 7.1.1", Send: post("3;a=b\r\nabc\r\n0;c\r\n\r\n"), Hold: good},
		{Name: "chunks/extension in quotes", Section: "9112 7.1.1", Send: post("3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n"), Hold: good},
		{Name: "chunks/extension with blanks around the semicolon", Section: "9112 7.1.1", Send: post("3 ; a=b\r\nabc\r\n0\r\n\r\n"), Hold: either(abc, broken())},
		{Name: "chunks/extension of a mebibyte", Section: "9112 7.1.1", Send: post("3;" + strings.Repeat("a", 1<<20) + "\r\nabc\r\n0\r\n\r\n"), Hold: broken(413, 431)},
		{Name: "chunks/extension with LF", Section: section, Send: post("3;a\nb\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/extension with CR", Section: section, Send: post("3;a\rb\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/extension hides a request behind LF", Section: section, Send: post("2;\nxx\r\n28\r\n0\r\n\r\n" + smuggled + "\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/line ends with LF", Section: section, Send: post("3\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/line ends with CR", Section: section, Send: post("3\rabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/last line ends with LF", Section: section, Send: post("3\r\nabc\r\n0\n\r\n"), Hold: broken()},
		{Name: "chunks/data ends with LF", Section: section, Send: post("3\r\nabc\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/data without an end", Section: section, Send: post("3\r\nabc0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/two other bytes at the end of data", Section: section, Send: post("3\r\nabcXX0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/more data than its size", Section: section, Send: post("3\r\nabcd\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/less data than its size", Section: section, Send: post("5\r\nabc\r\n0\r\n\r\n" + smuggled), Hold: broken()},
		{Name: "chunks/size with 0x", Section: section, Send: post("0x3\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size with a plus", Section: section, Send: post("+3\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size with a minus", Section: section, Send: post("-3\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size with an underscore", Section: section, Send: post("0_3\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size with a blank before it", Section: section, Send: post(" 3\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size with a letter behind it", Section: section, Send: post("3h\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size is absent", Section: section, Send: post("\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size is absent before an extension", Section: section, Send: post(";a=b\r\nabc\r\n0\r\n\r\n"), Hold: broken()},
		{Name: "chunks/size over 64 bits", Section: section, Send: post("10000000000000003\r\nabc\r\n0\r\n\r\n"), Hold: broken(413)},
		{Name: "chunks/size over 32 bits wraps to 3", Section: section, Client: halfClosed(post("100000003\r\nabc\r\n0\r\n\r\n" + smuggled)), Hold: broken(413)},
		{Name: "chunks/end of the body with LF", Section: section, Send: post("3\r\nabc\r\n0\r\n\n" + request("GET /b")), Answers: 2, Hold: either(broken(), served("POST /a abc", "GET /b"))},
		{Name: "chunks/ten thousand of one byte", Section: section, Send: post(strings.Repeat("1\r\na\r\n", 10000) + "0\r\n\r\n"), Hold: served("POST /a " + strings.Repeat("a", 10000))},
		{Name: "chunks/every byte in a write of its own", Section: "9112 2.2", Client: func(c *Client) {
			for _, b := range []byte(post("3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n")) {
				c.Send(string(b))
			}
			c.Read(1)
		}, Hold: good},
		{Name: "chunks/of a mebibyte", Section: section, Send: post(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 1<<20, strings.Repeat("m", 1<<20))), Hold: served("POST /a " + strings.Repeat("m", 1<<20))},

		{Name: "trailers/in a request", Section: "9112 7.1.2", Send: post("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), Hold: all(abc, stays, forwarded("X-Sum", ""))},
		{Name: "trailers/announced and relayed to the endpoint or dropped", Section: "9110 6.5.1", Send: request("POST /a", "TE: trailers", "Trailer: X-Sum", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", Hold: all(abc, forwarded("X-Sum", ""))},
		{Name: "trailers/length does not count", Section: "9110 6.5.1", Send: post("3\r\nabc\r\n0\r\nContent-Length: 39\r\n\r\n"), Hold: either(all(abc, noTrailer("Content-Length")), broken())},
		{Name: "trailers/coding does not count", Section: "9110 6.5.1", Send: post("3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), Hold: either(all(abc, noTrailer("Transfer-Encoding")), broken())},
		{Name: "trailers/host does not count", Section: "9110 6.5.1", Send: post("3\r\nabc\r\n0\r\nHost: evil\r\n\r\n"), Hold: either(all(abc, host("a"), noTrailer("Host")), broken())},
		{Name: "trailers/credentials do not count", Section: "9110 6.5.1", Send: post("3\r\nabc\r\n0\r\nAuthorization: Basic eA==\r\n\r\n"), Hold: either(all(abc, noTrailer("Authorization")), broken())},
		{Name: "trailers/forwarding fields do not count", Section: "9110 6.5.1", Send: post("3\r\nabc\r\n0\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n"), Hold: either(all(abc, noTrailer("X-Forwarded-For")), broken())},
		{Name: "trailers/blank before the colon", Section: "9112 5.1", Send: post("3\r\nabc\r\n0\r\nX-Sum : 1\r\n\r\n"), Hold: either(broken(), all(abc, noTrailer("X-Sum")))},
		{Name: "trailers/line without a colon", Section: "9112 5", Send: post("3\r\nabc\r\n0\r\nX-Sum\r\n\r\n"), Hold: either(broken(), all(abc, noTrailer("X-Sum")))},
		{Name: "trailers/bare CR in a value", Section: "9112 2.2", Send: post("3\r\nabc\r\n0\r\nX-Sum: a\rb\r\n\r\n"), Hold: either(broken(), all(abc, noTrailer("X-Sum")))},
		{Name: "trailers/of a mebibyte", Section: "9110 5.4", Send: post("3\r\nabc\r\n0\r\n" + strings.Repeat("X-Sum: "+strings.Repeat("s", 1000)+"\r\n", 1000) + "\r\n"), Hold: broken(413, 431)},
	}
}

// noTrailer wants that the endpoint did not get that field behind a body. What is not read cannot be merged with the head.
func noTrailer(name string) Check {
	return verdict("the endpoint got "+name+" in a trailer", func(r *Result) bool {
		for _, s := range r.Seen {
			_, tail, _ := strings.Cut(s.Wire, "\r\n\r\n")
			if strings.Contains(strings.ToLower(tail), strings.ToLower(name)) {
				return false
			}
		}
		return true
	})
}

// halfClosed sends, ends its side, and reads one response.
func halfClosed(text string) func(*Client) {
	return func(c *Client) {
		c.Send(text)
		c.CloseWrite()
		c.Read(1)
	}
}
