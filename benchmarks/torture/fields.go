package torture

import "strings"

// fields: names and values of header fields, and the lines that they stand on.
func fields() []Case {
	get := func(fields ...string) string { return request("GET /a", fields...) }
	odd := either(refused(), all(first(200), clean, saw("GET /a")))
	return []Case{
		{Name: "fields/any token is a name", Section: "9110 5.6.2", Send: get("X!#$%&'*+-.^`|~9: v"), Hold: either(refused(), all(served("GET /a"), forwarded("X!#$%&'*+-.^`|~9", "v")))},
		{Name: "fields/value between blanks and tabs", Section: "9112 5.1", Send: get("X-A: \t v w \t"), Hold: all(served("GET /a"), forwarded("X-A", "v w"))},
		{Name: "fields/empty value", Section: "9110 5.5", Send: get("X-A:"), Hold: served("GET /a")},
		{Name: "fields/the same name twice keeps its order", Section: "9110 5.3", Send: get("X-A: 1", "X-B: x", "x-a: 2"), Hold: all(served("GET /a"), forwarded("X-A", "1, 2"))},
		{Name: "fields/obs-text passes", Section: "9110 5.5", Send: get("X-A: caf\xe9"), Hold: either(refused(), all(served("GET /a"), forwarded("X-A", "caf\xe9")))},
		{Name: "fields/unknown fields pass", Section: "9110 5.1", Send: get("X-Unknown: v", "Accept: */*", "Cookie: a=b; c=d", "Authorization: Bearer x", "If-None-Match: \"e\"", "Range: bytes=0-1"), Hold: all(served("GET /a"), forwarded("X-Unknown", "v"), forwarded("Cookie", "a=b; c=d"), forwarded("Authorization", "Bearer x"), forwarded("If-None-Match", `"e"`), forwarded("Range", "bytes=0-1"), forwarded("Accept", "*/*"))},
		{Name: "fields/a list in two lines loses nothing", Section: "9110 5.3", Send: get("Accept-Encoding: gzip", "Accept-Encoding: br"), Hold: all(served("GET /a"), forwarded("Accept-Encoding", "gzip, br"))},
		{Name: "fields/no type is made up for a body", Section: "9110 8.3", Send: request("POST /a", "Content-Length: 3") + "abc", Hold: all(served("POST /a abc"), forwarded("Content-Type", ""))},
		{Name: "fields/blank before the colon", Section: "9112 5.1", Send: get("X-A : v"), Hold: refused()},
		{Name: "fields/tab before the colon", Section: "9112 5.1", Send: get("X-A\t: v"), Hold: refused()},
		{Name: "fields/empty name", Section: "9112 5", Send: get(": v"), Hold: odd},
		{Name: "fields/line without a colon", Section: "9112 5", Send: get("X-A"), Hold: odd},
		{Name: "fields/blank in the name", Section: "9110 5.1", Send: get("X A: v"), Hold: either(refused(), all(first(200), saw("GET /a"), noLine("x a")))},
		{Name: "fields/parenthesis in the name", Section: "9110 5.6.2", Send: get("X(A): v"), Hold: either(refused(), all(first(200), saw("GET /a"), noLine("x(a)")))},
		{Name: "fields/byte over 127 in the name", Section: "9110 5.6.2", Send: get("X-\xe9: v"), Hold: either(refused(), all(first(200), saw("GET /a"), noLine("x-\xe9")))},
		{Name: "fields/NUL in the name", Section: "9110 5.6.2", Send: get("X-A\x00B: v"), Hold: odd},
		{Name: "fields/DEL in the name", Section: "9110 5.6.2", Send: get("X-A\x7f: v"), Hold: either(refused(), all(first(200), saw("GET /a"), noLine("x-a\x7f")))},
		{Name: "fields/NUL in a value", Section: "9110 5.5", Send: get("X-A: a\x00b"), Hold: odd},
		{Name: "fields/bare CR in a value", Section: "9112 2.2", Send: get("X-A: a\rX-B: b"), Hold: odd},
		{Name: "fields/bare CR at the end of a value", Section: "9112 2.2", Send: get("X-A: a\r"), Hold: odd},
		{Name: "fields/bare LF ends a line", Section: "9112 2.2", Send: "GET /a HTTP/1.1\r\nX-A: 1\nHost: a\r\n\r\n", Hold: odd},
		{Name: "fields/bare LF ends every line", Section: "9112 2.2", Slow: true, Client: slowly("GET /a HTTP/1.1\nHost: a\n\n"), Hold: either(refused(408), all(first(200), clean, saw("GET /a")))},
		{Name: "fields/folded value", Section: "9112 5.2", Send: get("X-A: a\r\n b"), Hold: either(refused(), all(first(200), clean, saw("GET /a"), folded("a b")))},
		{Name: "fields/folded value with a tab", Section: "9112 5.2", Send: get("X-A: a\r\n\tb"), Hold: either(refused(), all(first(200), clean, saw("GET /a"), folded("a b")))},
		{Name: "fields/first line is a fold", Section: "9112 2.2", Send: "GET /a HTTP/1.1\r\n X-A: v\r\nHost: a\r\n\r\n", Hold: either(refused(), all(first(200), clean, saw("GET /a"), forwarded("X-A", "")))},
		{Name: "fields/Host is a fold", Section: "9112 2.2", Send: "GET /a HTTP/1.1\r\n Host: evil\r\nHost: a\r\n\r\n", Hold: either(refused(), all(first(200), clean, saw("GET /a"), host("a")))},
		{Name: "fields/fold of nothing but a blank", Section: "9112 5.2", Send: "GET /a HTTP/1.1\r\nHost: a\r\nX-A: v\r\n \r\nX-B: w\r\n\r\n", Hold: odd},
		{Name: "fields/CR alone on a line", Section: "9112 2.2", Send: "GET /a HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", Hold: either(refused(), all(first(200), clean, onlyFirst("GET /a")))},
		{Name: "fields/an empty line before the request line", Section: "9112 2.2", Send: "\r\n" + get(), Hold: served("GET /a")},
		{Name: "fields/an empty line behind a body", Section: "9112 2.2", Send: request("POST /a", "Content-Length: 3") + "abc\r\n" + get(), Answers: 2, Hold: served("POST /a abc", "GET /a")},
		{Name: "fields/in letters of another case", Section: "9110 5.1", Send: "POST /a HTTP/1.1\r\nhOST: a\r\ncONTENT-lENGTH: 3\r\n\r\nabc", Hold: all(served("POST /a abc"), host("a"))},
		{Name: "fields/a head byte by byte", Section: "9112 2.2", Client: func(c *Client) {
			for _, b := range []byte(get("X-A: v")) {
				c.Send(string(b))
			}
			c.Read(1)
		}, Hold: all(served("GET /a"), forwarded("X-A", "v"))},
		{Name: "fields/a long value", Section: "9110 5.4", Send: get("X-A: " + strings.Repeat("v", 6000)), Hold: all(served("GET /a"), forwarded("X-A", strings.Repeat("v", 6000)))},
	}
}

// noLine wants that no line of the first forwarded head has that name, which is none.
func noLine(name string) Check {
	return verdict("the endpoint got a field whose name is none", func(r *Result) bool {
		return len(r.Seen) > 0 && !hasLine(r.Seen[0].Raw, name, "")
	})
}

// folded wants X-A to be one line, whatever number of blanks stands for the fold.
func folded(want string) Check {
	return verdict("the folded value is not what it was", func(r *Result) bool {
		return strings.Join(strings.Fields(r.Seen[0].Request.Header.Get("X-A")), " ") == want
	})
}

// onlyFirst wants one request at the endpoint, and whatever follows it refused.
func onlyFirst(want string) Check {
	return verdict("more than one request reached the endpoint", func(r *Result) bool {
		return len(r.Seen) == 1 && r.Seen[0].line() == want
	})
}
