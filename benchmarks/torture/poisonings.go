package torture

// poisonings: what an endpoint leaves on a connection must not reach the next request.
func poisonings() []Case {
	const section = "9112 6.3"
	get := func(path string) string { return request("GET " + path) }
	poison := sized("200 OK", "poison")
	firstOnly := func(script func(*Exchange)) func(*Exchange) {
		return func(x *Exchange) {
			if x.Number == 1 {
				script(x)
				return
			}
			ok(x)
		}
	}
	// twice asks on one connection, and on the gateway's side most likely on one as well.
	twice := func(c *Client) {
		c.Send(get("/a"))
		c.Read(1)
		c.More(quiet)
		c.Send(get("/b"))
		c.Read(1)
	}
	second := verdict("the second response is not its own", func(r *Result) bool {
		return len(r.Responses) == 2 && (r.Responses[1].Text == "ok" || r.Responses[1].StatusCode == 502)
	})
	// A reset may come before the first response has been read.
	reset := verdict("the second response is not its own", func(r *Result) bool {
		n := len(r.Responses)
		return n == 2 && r.Responses[1].Text == "ok" || n == 1 && r.Responses[0].Err != nil
	})
	whole := verdict("the second response is not its own", func(r *Result) bool {
		return len(r.Responses) == 2 && r.Responses[1].Text == "ok" && r.Responses[1].StatusCode == 200
	})
	return []Case{
		{Name: "poisonings/a second response at once", Section: section, Client: twice, Endpoint: firstOnly(answer(sized("200 OK", "one") + poison)), Hold: whole},
		{Name: "poisonings/a second response later", Section: section, Client: func(c *Client) {
			c.Send(get("/a"))
			c.Read(1)
			c.Tell()
			c.More(quiet)
			c.Send(get("/b"))
			c.Read(1)
		}, Endpoint: firstOnly(func(x *Exchange) {
			x.Write(sized("200 OK", "one"))
			x.Wait()
			x.Write(poison)
		}), Hold: whole},
		{Name: "poisonings/bytes behind the last chunk", Section: section, Client: twice, Endpoint: firstOnly(answer(response("200 OK", "3\r\none\r\n0\r\n\r\n"+poison, "Transfer-Encoding: chunked"))), Hold: whole},
		{Name: "poisonings/a line behind a response", Section: section, Client: twice, Endpoint: firstOnly(answer(sized("200 OK", "one") + "\r\n")), Hold: whole},
		{Name: "poisonings/a 408 on an idle connection", Section: "9112 9.5", Client: twice, Endpoint: firstOnly(func(x *Exchange) {
			x.Write(sized("200 OK", "one") + sized("408 Request Timeout", "late", "Connection: close"))
			x.Close()
		}), Hold: whole},
		{Name: "poisonings/the end of an idle connection", Section: "9112 9.5", Client: twice, Endpoint: firstOnly(last(sized("200 OK", "one"))), Hold: whole},
		{Name: "poisonings/the reset of an idle connection", Section: "9112 9.5", Client: twice, Endpoint: firstOnly(func(x *Exchange) {
			x.Write(sized("200 OK", "one"))
			x.Reset()
		}), Hold: reset},
		{Name: "poisonings/a connection that an endpoint ends one way", Section: "9112 9.6", Client: twice, Endpoint: firstOnly(func(x *Exchange) {
			x.Write(sized("200 OK", "one"))
			x.CloseWrite()
		}), Hold: whole},
		{Name: "poisonings/the endpoint says close and goes on", Section: "9112 9.6", Client: twice, Endpoint: firstOnly(answer(sized("200 OK", "one", "Connection: close") + poison)), Hold: whole},
		{Name: "poisonings/an interim response on an idle connection", Section: "9110 15.2", Client: twice, Endpoint: firstOnly(answer(sized("200 OK", "one") + "HTTP/1.1 100 Continue\r\n\r\n")), Hold: whole},
		{Name: "poisonings/POST on a connection that ends", Section: "9112 9.3.1", Client: func(c *Client) {
			c.Send(get("/a"))
			c.Read(1)
			c.More(quiet)
			c.Send(request("POST /b", "Content-Length: 3") + "abc")
			c.Read(1)
		}, Endpoint: firstOnly(last(sized("200 OK", "one"))), Hold: all(statuses(200, 200), saw("GET /a", "POST /b abc"))},
		{Name: "poisonings/POST is not sent twice", Section: "9110 9.2.2", Send: request("POST /a", "Content-Length: 3") + "abc", Endpoint: func(x *Exchange) { x.Body(); x.Close() }, Hold: all(first(502), saw("POST /a abc"))},
		{Name: "poisonings/a client that leaves its answer", Section: "9112 9.5", Client: func(c *Client) {
			c.Send(get("/a"))
			c.Wait()
			c.Reset()
			c.Tell()
		}, Endpoint: firstOnly(func(x *Exchange) {
			x.Tell()
			x.Wait()
			x.Write(poison)
		}), Hold: func(*Result) error { return nil }},
		{Name: "poisonings/a client that leaves half an answer", Section: "9112 9.5", Client: func(c *Client) {
			c.Send(get("/a"))
			_, _ = c.Head()
			c.Reset()
			c.Tell()
		}, Endpoint: firstOnly(func(x *Exchange) {
			x.Write(response("200 OK", "abc", "Content-Length: 6"))
			x.Wait()
			x.Write("def")
		}), Hold: func(*Result) error { return nil }},
		{Name: "poisonings/two answers to a pipeline of one", Section: "9112 9.3.2", Send: get("/a") + get("/b"), Answers: 2, Endpoint: func(x *Exchange) {
			if x.Number == 1 {
				x.Write(sized("200 OK", "one") + poison)
				return
			}
			ok(x)
		}, Hold: second},
	}
}
