package torture

import (
	"fmt"
	"strings"
)

// expectations: Expect: 100-continue, and answers that come before a body has.
func expectations() []Case {
	const section = "9110 10.1.1"
	head := func(fields ...string) string {
		return request("POST /a", append(fields, "Content-Length: 3")...)
	}
	expect := head("Expect: 100-continue")
	return []Case{
		{Name: "expect/the client is told to go on", Section: section, Client: func(c *Client) {
			c.Send(expect)
			r, err := c.Head()
			c.Hold("the client was not told to go on", err == nil && r.StatusCode == 100)
			c.Send("abc")
			c.Read(1)
		}, Endpoint: goOn, Hold: served("POST /a abc")},
		{Name: "expect/the body comes without waiting", Section: section, Send: expect + "abc", Endpoint: goOn, Hold: served("POST /a abc")},
		{Name: "expect/in other letters", Section: section, Send: head("expect: 100-Continue") + "abc", Endpoint: goOn, Hold: served("POST /a abc")},
		{Name: "expect/the endpoint refuses before the body", Section: section, Client: func(c *Client) {
			c.Send(expect)
			c.Read(1)
			c.Send("abc") // a client may send it all the same
			c.More(quiet)
		}, Endpoint: func(x *Exchange) { x.Write(sized("403 Forbidden", "no")); x.Close() }, Hold: all(statuses(403), gets(0, "no"))},
		{Name: "expect/the endpoint is asked before the client is told", Section: section, Client: func(c *Client) {
			c.Send(expect)
			c.Read(1)
		}, Endpoint: func(x *Exchange) { x.Write(sized("401 Unauthorized", "who")); x.Close() }, Hold: all(statuses(401), noInterim)},
		{Name: "expect/a refused body is not the next request", Section: "9112 9.3", Client: func(c *Client) {
			c.Send(request("POST /a", "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(smuggled))))
			c.Read(1)
			c.Send(smuggled)
			c.More(quiet)
		}, Endpoint: func(x *Exchange) { x.Write(sized("403 Forbidden", "no")); x.Close() }, Hold: all(statuses(403), gets(0, "no"))},
		{Name: "expect/without a body", Section: section, Send: request("GET /a", "Expect: 100-continue"), Hold: either(served("GET /a"), refused(417))},
		{Name: "expect/with a body of no length", Section: section, Send: request("POST /a", "Expect: 100-continue", "Content-Length: 0"), Hold: either(served("POST /a"), refused(417))},
		{Name: "expect/with chunks", Section: section, Client: func(c *Client) {
			c.Send(request("POST /a", "Expect: 100-continue", "Transfer-Encoding: chunked"))
			r, err := c.Head()
			c.Hold("the client was not told to go on", err == nil && r.StatusCode == 100)
			c.Send("3\r\nabc\r\n0\r\n\r\n")
			c.Read(1)
		}, Endpoint: goOn, Hold: served("POST /a abc")},
		{Name: "expect/what nobody knows", Section: section, Send: head("Expect: something") + "abc", Hold: either(served("POST /a abc"), refused(417))},
		{Name: "expect/100-continue and something else", Section: section, Send: head("Expect: 100-continue, something") + "abc", Endpoint: goOn, Hold: either(served("POST /a abc"), refused(417))},
		{Name: "expect/twice", Section: section, Send: head("Expect: 100-continue", "Expect: 100-continue") + "abc", Endpoint: goOn, Hold: either(served("POST /a abc"), refused(417))},
		{Name: "expect/obfuscated is no expectation", Section: section, Send: head("Expect: 100 continue") + "abc", Endpoint: goOn, Hold: either(served("POST /a abc"), refused(417))},
		{Name: "expect/an endpoint that sends 100 twice", Section: "9110 15.2", Send: expect + "abc", Endpoint: func(x *Exchange) {
			x.Write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			ok(x)
		}, Hold: all(served("POST /a abc"), gets(0, "ok"))},
		{Name: "expect/an endpoint that sends 100 unasked", Section: "9110 15.2", Send: request("GET /a"), Endpoint: answer("HTTP/1.1 100 Continue\r\n\r\n" + sized("200 OK", "ok")), Hold: all(served("GET /a"), gets(0, "ok"))},
		{Name: "expect/an endpoint that sends no 100", Section: section, Send: expect + "abc", Hold: all(served("POST /a abc"))},
		{Name: "expect/100 with fields", Section: "9110 15.2", Send: expect + "abc", Endpoint: func(x *Exchange) {
			x.Write("HTTP/1.1 100 Continue\r\nContent-Length: 20\r\n\r\n")
			ok(x)
		}, Hold: either(first(502), all(served("POST /a abc"), gets(0, "ok")))},
		{Name: "expect/on HEAD, then a request behind the body", Section: "9112 9.3", Client: func(c *Client) {
			c.Asks("HEAD", "GET")
			c.Send(request("HEAD /a", "Expect: 100-continue", "Content-Length: 3") + "abc" + request("GET /b"))
			c.Read(2)
		}, Endpoint: goOn, Hold: either(all(statuses(200, 200), saw("HEAD /a abc", "GET /b")), refused(417))},

		{Name: "early/an answer during a large upload arrives", Section: "9110 7.5", Client: upload, Endpoint: func(x *Exchange) {
			x.Write(sized("413 Content Too Large", "big", "Connection: close"))
			x.CloseWrite()
			x.Gone()
		}, Hold: all(statuses(413), gets(0, "big"))},
		{Name: "early/an answer during a large upload, and the endpoint is gone", Section: "9110 7.5", Client: upload, Endpoint: func(x *Exchange) {
			x.Write(sized("401 Unauthorized", "who", "Connection: close"))
			x.Close()
		}, Hold: either(all(first(401), gets(0, "who")), first(502))},
		{Name: "early/an answer while the client still waits", Section: "9110 7.5", Client: func(c *Client) {
			c.Send(request("POST /a", "Content-Length: 100") + "abc")
			c.Read(1)
		}, Endpoint: early(sized("403 Forbidden", "no")), Hold: all(statuses(403), gets(0, "no"), unfinished)},
		{Name: "early/both ways at once", Section: "9110 7.5", Client: func(c *Client) {
			c.Send(request("POST /a", "Transfer-Encoding: chunked") + "3\r\none\r\n")
			r, err := c.Head()
			c.Hold("the head does not come before the body is whole", err == nil && r.StatusCode == 200)
			if err != nil {
				return
			}
			c.Send("3\r\ntwo\r\n")
			got := make([]byte, 3)
			_, _ = r.Body.Read(got)
			c.Want("while the request is under way", string(got), "two")
			c.Send("0\r\n\r\n")
		}, Endpoint: func(x *Exchange) {
			b := make([]byte, 3)
			_, _ = x.Request.Body.Read(b)
			x.Write(response("200 OK", "", "Transfer-Encoding: chunked"))
			n, _ := x.Request.Body.Read(b)
			x.Write(fmt.Sprintf("%x\r\n%s\r\n", n, b[:n]))
			x.Body()
			x.Write("0\r\n\r\n")
		}, Hold: func(*Result) error { return nil }},
	}
}

// goOn tells the client to go on if it asks, reads the body and answers.
func goOn(x *Exchange) {
	if strings.EqualFold(x.Request.Header.Get("Expect"), "100-continue") {
		x.Write("HTTP/1.1 100 Continue\r\n\r\n")
	}
	ok(x)
}

// upload sends eight mebibytes while it waits for the answer.
func upload(c *Client) {
	c.Send(request("POST /a", "Content-Length: 8388608"))
	sent := make(chan struct{})
	go func() { defer close(sent); c.Send(strings.Repeat("u", 8<<20)) }()
	c.Read(1)
	c.Close()
	<-sent
}
