package torture

import "fmt"

// smuggling: one request for one parser, two for another. The families are PortSwigger's and those that the HTTP Garden
// has found.
func smuggling() []Case {
	cases := []Case{
		{Name: "smuggling/CL.TE", Section: "9112 6.1", Send: request("POST /a", "Content-Length: 40", "Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, Hold: either(refusedClosing(), all(served("POST /a"), clean, closes))},
		{Name: "smuggling/TE.CL", Section: "9112 6.1", Send: request("POST /a", "Transfer-Encoding: chunked", "Content-Length: 4") + "23\r\n" + smuggled + "\r\n0\r\n\r\n", Hold: either(refusedClosing(), all(served("POST /a "+smuggled), clean, closes))},
		{Name: "smuggling/TE.CL with an answer that fits both", Section: "9112 6.1", Send: request("POST /a", "Transfer-Encoding: chunked", "Content-Length: 13") + "3\r\nabc\r\n0\r\n\r\n", Hold: either(refusedClosing(), all(served("POST /a abc"), clean, closes))},
		{Name: "smuggling/a length nominated away", Section: "9110 7.6.1", Send: request("POST /a", "Connection: Content-Length", "Content-Length: 3") + "abc", Hold: either(refused(), all(served("POST /a abc"), clean))},
		{Name: "smuggling/a coding nominated away", Section: "9110 7.6.1", Send: request("POST /a", "Connection: Transfer-Encoding", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", Hold: either(refused(), all(served("POST /a abc"), clean))},
		{Name: "smuggling/head ends with a bare LF line", Section: "9112 2.2", Send: "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", Hold: either(refusedClosing(), all(first(200), clean))},
		{Name: "smuggling/0.CL with the length behind the head's end in LF", Section: "9112 2.2", Send: "POST /a HTTP/1.1\r\nHost: a\r\n\nContent-Length: 35\r\n\r\n", Hold: either(refused(), all(first(200, 400), clean, verdict("a length after the end of the head was forwarded", func(r *Result) bool {
			return len(r.Seen) <= 1 && (len(r.Seen) == 0 || !hasLine(r.Seen[0].Raw, "content-length", "35"))
		})))},
		{Name: "smuggling/CL.0 on a path that redirects", Section: "9112 9.3", Send: request("POST /a", "Content-Length: 35") + smuggled + request("GET /b"), Answers: 2, Endpoint: early(sized("302 Found", "", "Location: /x")), Hold: noSecondHead("GET /b")},
		{Name: "smuggling/CL.0 on an answer before the body", Section: "9112 9.3", Send: request("POST /a", "Content-Length: 35") + smuggled, Endpoint: early(sized("200 OK", "early")), Hold: first(200, 502)},
		{Name: "smuggling/pause between head and body", Section: "9112 9.3", Client: func(c *Client) {
			c.Send(request("POST /a", "Content-Length: 35"))
			if c.More(quiet) {
				c.Read(1)
			}
			c.Send(smuggled)
			if len(c.Responses) == 0 {
				c.Read(1)
			}
			c.More(quiet)
		}, Endpoint: early(sized("200 OK", "early")), Hold: all(first(200, 502), single)},
		{Name: "smuggling/answer to a HEAD looks like two", Section: "9112 6.3", Client: func(c *Client) {
			c.Asks("HEAD", "GET")
			c.Send(request("HEAD /a") + request("GET /b"))
			c.Read(2)
		}, Endpoint: func(x *Exchange) {
			if x.Request.Method == "HEAD" {
				x.Write(response("200 OK", "", "Content-Length: 60"))
				return
			}
			ok(x)
		}, Hold: all(statuses(200, 200), gets(1, "ok"))},
		{Name: "smuggling/request line inside a field value with CRLF in percent", Section: "9112 3.2", Send: request("GET /a%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/smuggled"), Hold: either(refused(404), all(served("GET /a%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/smuggled"), clean))},
	}
	const mustReject = "9112 5.1" // leaves no choice about blanks before the colon
	// A coding or a length that only some parsers find.
	for _, o := range []struct{ name, section, field string }{
		{"a blank before the colon", mustReject, "Transfer-Encoding : chunked"},
		{"a tab before the colon", mustReject, "Transfer-Encoding\t: chunked"},
		{"a vertical tab before the colon", mustReject, "Transfer-Encoding\v: chunked"},
		{"a NUL behind the name", "9110 5.1", "Transfer-Encoding\x00: chunked"},
		{"a NUL before the name", "9110 5.1", "\x00Transfer-Encoding: chunked"},
		{"a control character in the name", "9110 5.1", "Transfer\x01-Encoding: chunked"},
		{"a blank in the name", "9110 5.1", "Transfer Encoding: chunked"},
		{"a byte over 127 before the name", "9110 5.1", "\xffTransfer-Encoding: chunked"},
		{"a colon too many", "9112 5", "Transfer-Encoding:: chunked"},
		{"a NUL behind the value", "9110 5.5", "Transfer-Encoding: chunked\x00"},
		{"a byte over 127 before the value", "9110 5.5", "Transfer-Encoding: \xa0chunked"},
		{"a form feed before the value", "9110 5.5", "Transfer-Encoding: \fchunked"},
		{"a backspace behind the value", "9110 5.5", "Transfer-Encoding: chunked\b"},
		{"a semicolon behind the value", "9112 7", "Transfer-Encoding: chunked;"},
		{"a comma before the value", "9110 5.6.1", "Transfer-Encoding: ,chunked"},
		{"a folded line", "9112 5.2", "Transfer-Encoding:\r\n chunked"},
		{"a fold within the value", "9112 5.2", "Transfer-Encoding: chun\r\n ked"},
		{"a value that is folded away", "9112 5.2", "X-A: b\r\n Transfer-Encoding: chunked"},
		{"bare LF before it", "9112 2.2", "X-A: b\nTransfer-Encoding: chunked"},
		{"bare CR before it", "9112 2.2", "X-A: b\rTransfer-Encoding: chunked"},
		{"CR CR LF before it", "9112 2.2", "X-A: b\r\r\nTransfer-Encoding: chunked"},
		{"bare CR before the value", "9112 2.2", "Transfer-Encoding: \rchunked"},
		{"two of them, the second unknown", "9112 6.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x"},
		{"two of them, the first unknown", "9112 6.1", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked"},
		{"an underscore in the name", "9110 5.1", "Transfer_Encoding: chunked"},
	} {
		body := "0\r\n\r\n" + smuggled
		whole := "POST /a " + body
		hold := either(refused(422, 501), all(served(whole), clean), all(served("POST /a"), clean, closes))
		if o.section == mustReject {
			hold = refused()
		}
		cases = append(cases, Case{
			Name: "smuggling/TE.TE with " + o.name, Section: o.section,
			Send: request("POST /a", fmt.Sprintf("Content-Length: %d", len(body)), o.field) + body, Hold: hold,
		})
	}
	for _, o := range []struct{ name, section, field string }{
		{"a blank before the colon", "9112 5.1", "Content-Length : 35"},
		{"a NUL behind the name", "9110 5.1", "Content-Length\x00: 35"},
		{"a blank in the name", "9110 5.1", "Content Length: 35"},
		{"a fold before the value", "9112 5.2", "Content-Length:\r\n 35"},
		{"bare CR in the value", "9112 2.2", "Content-Length: 3\r5"},
		{"a letter behind the value", "9112 6.3", "Content-Length: 35abc"},
		{"a semicolon behind the value", "9112 6.3", "Content-Length: 35;"},
		{"a vertical tab before the value", "9110 5.5", "Content-Length: \v35"},
	} {
		cases = append(cases, Case{
			Name: "smuggling/CL with " + o.name, Section: o.section, Send: request("POST /a", o.field) + smuggled,
			Hold: either(refusedClosing(), all(served("POST /a "+smuggled), clean)),
		})
	}
	return cases
}

// early is a script that answers when the head has come, and reads the body after that.
func early(raw string) func(*Exchange) {
	return func(x *Exchange) {
		x.Write(raw)
		x.Body()
	}
}

// noSecondHead wants that the endpoint saw at most two requests, the second of which is this one.
func noSecondHead(second string) Check {
	return verdict("a body was taken for a request", func(r *Result) bool {
		return len(r.Seen) <= 1 || len(r.Seen) == 2 && r.Seen[1].line() == second
	})
}
