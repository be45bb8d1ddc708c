package torture

import "strings"

// targets: methods and request targets.
func targets() []Case {
	const section = "9112 3.2"
	target := func(t string) string { return request("GET " + t) }
	exact := func(t string) Check { return either(refused(403, 404), served("GET "+t)) }
	cases := []Case{
		{Name: "targets/asterisk for OPTIONS", Section: "9112 3.2.4", Send: request("OPTIONS *"), Hold: either(served("OPTIONS *"), first(200, 204, 400, 403, 404, 405, 501))},
		{Name: "targets/asterisk for GET", Section: "9112 3.2.4", Send: request("GET *"), Hold: refused()},
		{Name: "targets/authority for GET", Section: "9112 3.2.3", Send: request("GET a:80"), Hold: refused()},
		{Name: "targets/CONNECT", Section: "9110 9.3.6", Send: request("CONNECT a:80"), Hold: either(refused(403, 404, 405, 501), saw("CONNECT a:80"))},
		{Name: "targets/CONNECT with a path", Section: "9112 3.2.3", Send: request("CONNECT /a"), Hold: refused(403, 404, 405, 501)},
		{Name: "targets/neither path nor URL", Section: section, Send: request("GET a"), Hold: refused(404)},
		{Name: "targets/empty", Section: section, Send: "GET  HTTP/1.1\r\nHost: a\r\n\r\n", Hold: refused(505)},
		{Name: "targets/https on a plain connection", Section: "9110 7.4", Send: request("GET https://a/b"), Hold: refused(403, 404, 421)},
		{Name: "targets/with a blank", Section: section, Send: request("GET /a b"), Hold: refused(505)},
		{Name: "targets/with a blank before a second version", Section: section, Send: request("GET /a HTTP/1.1"), Hold: refused(505)},
		{Name: "targets/with a tab", Section: section, Send: request("GET /a\tb"), Hold: refused(505)},
		{Name: "targets/with a control character", Section: "3986 2", Send: request("GET /a\x01b"), Hold: refused()},
		{Name: "targets/with a NUL", Section: "3986 2", Send: request("GET /a\x00b"), Hold: refused()},
		{Name: "targets/with DEL", Section: "3986 2", Send: request("GET /a\x7fb"), Hold: refused()},
		{Name: "targets/with bare CR", Section: "9112 2.2", Send: request("GET /a\rb"), Hold: refused(505)},
		{Name: "targets/with a fragment", Section: "9112 3.2.1", Send: target("/a#b"), Hold: either(refused(), served("GET /a"))},
		{Name: "targets/with a percent that is no escape", Section: "3986 2.1", Send: target("/a%zz"), Hold: refused()},
		{Name: "targets/path that climbs above the root", Section: "3986 5.2.4", Send: target("/../../etc/passwd"), Hold: either(refused(403, 404), served("GET /etc/passwd"), served("GET /../../etc/passwd"))},

		{Name: "methods/in small letters are others", Section: "9110 9.1", Send: request("get /a"), Hold: either(refused(405, 501), served("get /a"))},
		{Name: "methods/that nobody knows", Section: "9110 16.1", Send: request("PROPFIND /a"), Hold: either(served("PROPFIND /a"), refused(405, 501))},
		{Name: "methods/with characters that no token has", Section: "9110 9.1", Send: request("G@T /a"), Hold: refused(405, 501)},
		{Name: "methods/with parentheses", Section: "9110 9.1", Send: request("G(T /a"), Hold: refused(405, 501)},
		{Name: "methods/with NUL", Section: "9110 9.1", Send: request("G\x00T /a"), Hold: refused(405, 501)},
		{Name: "methods/a blank before it", Section: "9112 3", Send: " " + request("GET /a"), Hold: refused(405, 501)},
		{Name: "methods/a kibibyte long", Section: "9112 3", Send: request(strings.Repeat("M", 1024) + " /a"), Hold: either(refused(405, 414, 431, 501), served(strings.Repeat("M", 1024)+" /a"))},
		{Name: "methods/PATCH keeps its body", Section: "9110 9.1", Send: request("PATCH /a", "Content-Length: 3") + "abc", Hold: served("PATCH /a abc")},
		{Name: "methods/TRACE with a body", Section: "9110 9.3.8", Send: request("TRACE /a", "Content-Length: 3") + "abc", Hold: either(refused(405, 501), saw("TRACE /a"), saw("TRACE /a abc"))},
	}
	for _, p := range []struct{ name, target string }{
		{"slashes in a row", "/a//b///c"},
		{"a path that begins with two", "//evil/a"},
		{"dots", "/a/./b/."},
		{"an encoded slash", "/a%2Fb"},
		{"small letters in an escape", "/a%2fb%c3%a9"},
		{"an encoded letter", "/%61"},
		{"an encoded NUL", "/a%00b"},
		{"a question mark twice", "/a?b?c=/?"},
		{"an empty query", "/a?"},
		{"a semicolon", "/a;b=c/d;e"},
		{"a plus and sub-delims", "/a+b!$&'()*,=:@"},
		{"an encoded question mark", "/a%3Fb"},
		{"dots that are encoded", "/a/%2e/b"},
		{"a colon in the first segment", "/a:b"},
		{"a URL in the query", "/a?u=http://b/c/../d"},
	} {
		cases = append(cases, Case{Name: "targets/forwarded exactly: " + p.name, Section: "9110 7.7", Send: target(p.target), Hold: exact(p.target)})
	}
	return cases
}
