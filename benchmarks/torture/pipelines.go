package torture

import (
	"fmt"
	"slices"
	"strings"
)

// pipelines: several requests on one connection.
func pipelines() []Case {
	const section = "9112 9.3.2"
	get := func(path string, fields ...string) string { return request("GET "+path, fields...) }
	named := func(x *Exchange) { x.Body(); x.Write(sized("200 OK", x.Request.RequestURI)) }
	order := func(paths ...string) Check {
		return verdict("responses are not in the order of the requests", func(r *Result) bool {
			var got []string
			for _, a := range r.Responses {
				got = append(got, a.Text)
			}
			return slices.Equal(got, paths)
		})
	}
	// A server that closes at once may leave later requests unanswered, never answer them wrongly.
	var many strings.Builder
	var paths []string
	for i := range 100 {
		paths = append(paths, fmt.Sprintf("/%d", i))
		many.WriteString(get(paths[i]))
	}
	return []Case{
		{Name: "pipelines/three", Section: section, Send: get("/a") + get("/b") + get("/c"), Answers: 3, Endpoint: named, Hold: all(order("/a", "/b", "/c"), stays)},
		{Name: "pipelines/a hundred", Section: section, Send: many.String(), Answers: 100, Endpoint: named, Hold: order(paths...)},
		{Name: "pipelines/bodies between them", Section: section, Send: request("POST /a", "Content-Length: 3") + "abc" + request("POST /b", "Transfer-Encoding: chunked") + "3\r\ndef\r\n0\r\n\r\n" + get("/c"), Answers: 3, Endpoint: named, Hold: all(order("/a", "/b", "/c"), saw("POST /a abc", "POST /b def", "GET /c"))},
		{Name: "pipelines/the first answer in chunks", Section: section, Send: get("/a") + get("/b"), Answers: 2, Endpoint: func(x *Exchange) {
			x.Write(response("200 OK", "2\r\n"+x.Request.RequestURI+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
		}, Hold: order("/a", "/b")},
		{Name: "pipelines/the first answer ends with its connection", Section: "9112 6.3", Send: get("/a") + get("/b"), Answers: 2, Endpoint: func(x *Exchange) {
			x.Write(response("200 OK", x.Request.RequestURI))
			x.Close()
		}, Hold: either(order("/a", "/b"), all(order("/a"), closes))},
		{Name: "pipelines/nothing is served behind close", Section: "9112 9.6", Send: get("/a", "Connection: close") + get("/b"), Endpoint: named, Hold: all(order("/a"), saw("GET /a"), closes)},
		{Name: "pipelines/nothing is served behind HTTP 1.0", Section: "9112 9.3", Send: bare("GET /a HTTP/1.0", "Host: a") + get("/b"), Endpoint: named, Hold: all(order("/a"), saw("GET /a"), closes)},
		{Name: "pipelines/a malformed second request", Section: "9112 2.2", Send: get("/a") + "GARBAGE\r\n\r\n", Answers: 2, Endpoint: named, Hold: all(first(200), saw("GET /a"), closesNow, verdict("garbage was served", func(r *Result) bool {
			return len(r.Responses) == 1 || r.Responses[1].StatusCode/100 == 4 || r.Responses[1].StatusCode/100 == 5
		}))},
		{Name: "pipelines/a smuggling second request", Section: "9112 6.3", Send: get("/a") + request("POST /b", "Content-Length: 3", "Content-Length: 4") + "abc", Answers: 2, Endpoint: named, Hold: all(first(200), saw("GET /a"), closesNow)},
		{Name: "pipelines/a second head in pieces", Section: section, Client: func(c *Client) {
			c.Send(get("/a") + "GET /b HT")
			c.Read(1)
			c.Send("TP/1.1\r\nHo")
			c.More(quiet)
			c.Send("st: a\r\n\r\n")
			c.Read(1)
		}, Endpoint: named, Hold: order("/a", "/b")},
		{Name: "pipelines/the second client gets its own", Section: section, Client: func(c *Client) {
			c.Send(get("/a"))
			c.Hold("the endpoint did not get the request", c.Wait())
			c.Hold("another client was not served meanwhile", askCanary(c.gateway, "pipelines") == nil)
			c.Tell()
			c.Read(1)
		}, Endpoint: func(x *Exchange) { x.Tell(); x.Wait(); named(x) }, Hold: order("/a")},
		{Name: "pipelines/the first is aborted by the endpoint", Section: "9112 8", Send: get("/a") + get("/b"), Answers: 2, Endpoint: func(x *Exchange) {
			x.Write(response("200 OK", "abc", "Content-Length: 10"))
			x.Close()
		}, Hold: all(single, cut)},
		{Name: "pipelines/HEAD before GET", Section: section, Client: func(c *Client) {
			c.Asks("HEAD", "GET")
			c.Send(request("HEAD /a") + get("/b"))
			c.Read(2)
		}, Endpoint: func(x *Exchange) {
			if x.Request.Method == "HEAD" {
				x.Write(response("200 OK", "", "Content-Length: 2"))
				return
			}
			named(x)
		}, Hold: order("", "/b")},
	}
}

// closesNow wants the connection to end, whatever was answered.
func closesNow(r *Result) error {
	return verdict("the connection stays open, want it closed", func(r *Result) bool { return r.ends() })(r)
}
