package torture

// hosts: whom a request is for.
func hosts() []Case {
	const section = "9112 3.2"
	get := func(fields ...string) string { return bare("GET /a HTTP/1.1", fields...) }
	return []Case{
		{Name: "hosts/one", Section: section, Send: get("Host: example.com"), Hold: all(served("GET /a"), host("example.com"))},
		{Name: "hosts/with a port", Section: section, Send: get("Host: example.com:8080"), Hold: all(served("GET /a"), host("example.com"))},
		{Name: "hosts/IPv6 address", Section: section, Send: get("Host: [::1]:8080"), Hold: statuses(200)},
		{Name: "hosts/none", Section: section, Send: get("X-A: b"), Hold: refused()},
		{Name: "hosts/none, and a name that is nearly Host", Section: section, Send: get("X-Host: a"), Hold: refused()},
		{Name: "hosts/two", Section: section, Send: get("Host: a", "Host: b"), Hold: refused()},
		{Name: "hosts/two that are equal", Section: section, Send: get("Host: a", "Host: a"), Hold: refused()},
		{Name: "hosts/two in different letters", Section: section, Send: get("Host: a", "hOsT: b"), Hold: refused()},
		{Name: "hosts/a list", Section: section, Send: get("Host: a, b"), Hold: refused()},
		{Name: "hosts/with a blank", Section: section, Send: get("Host: a b"), Hold: refused()},
		{Name: "hosts/with a path", Section: section, Send: get("Host: a/b"), Hold: refused()},
		{Name: "hosts/with a query", Section: section, Send: get("Host: a?b"), Hold: refused()},
		{Name: "hosts/with a fragment", Section: section, Send: get("Host: a#b"), Hold: refused()},
		{Name: "hosts/with a backslash", Section: section, Send: get(`Host: a\b`), Hold: refused()},
		{Name: "hosts/with user information", Section: section, Send: get("Host: user:password@a"), Hold: refused()},
		{Name: "hosts/with user information and credentials", Section: section, Send: get("Host: u@a", "Authorization: Bearer x"), Hold: refused()},
		{Name: "hosts/with a port that is no number", Section: section, Send: get("Host: a:xx"), Hold: refused()},
		{Name: "hosts/with two ports", Section: section, Send: get("Host: a:80:81"), Hold: refused()},
		{Name: "hosts/with a bracket that is not closed", Section: section, Send: get("Host: [::1"), Hold: refused()},
		{Name: "hosts/with something behind the bracket", Section: section, Send: get("Host: [::1]evil"), Hold: refused()},
		{Name: "hosts/with a letter in an IPv6 address", Section: section, Send: get("Host: [::g]"), Hold: refused()},
		{Name: "hosts/with a NUL", Section: section, Send: get("Host: a\x00b"), Hold: refused()},
		{Name: "hosts/with a tab", Section: section, Send: get("Host: a\tb"), Hold: refused()},
		{Name: "hosts/with a quote", Section: section, Send: get(`Host: a"b`), Hold: refused()},
		{Name: "hosts/with a tag", Section: section, Send: get("Host: <script>"), Hold: refused()},
		{Name: "hosts/with a percent that is no escape", Section: "3986 3.2.2", Send: get("Host: a%zz"), Hold: refused()},
		{Name: "hosts/absolute target overrides Host", Section: "9112 3.2.2", Send: bare("GET http://b/a HTTP/1.1", "Host: a"), Hold: either(refused(421), all(statuses(200), host("b"), oneTarget))},
		{Name: "hosts/absolute target without Host", Section: section, Send: bare("GET http://b/a HTTP/1.1"), Hold: refused()},
		{Name: "hosts/absolute target with two Hosts", Section: section, Send: bare("GET http://b/a HTTP/1.1", "Host: a", "Host: b"), Hold: refused()},
		{Name: "hosts/absolute target with user information", Section: "9110 4.2.4", Send: bare("GET http://user:password@b/a HTTP/1.1", "Host: b"), Hold: either(refused(), all(statuses(200), host("b"), forwarded("Authorization", "")))},
		{Name: "hosts/absolute target without an authority", Section: "9110 4.2.1", Send: bare("GET http:///a HTTP/1.1", "Host: a"), Hold: refused()},
		{Name: "hosts/absolute target with a bad port", Section: "9112 3.2", Send: bare("GET http://b:xx/a HTTP/1.1", "Host: b"), Hold: refused()},
		{Name: "hosts/absolute target that is only an authority", Section: "9112 3.2.2", Send: bare("GET http://b HTTP/1.1", "Host: b"), Hold: either(refused(), all(statuses(200), host("b"), oneTarget))},
		{Name: "hosts/absolute target with a backslash in its authority", Section: "9112 3.2", Send: bare(`GET http://b\evil/a HTTP/1.1`, "Host: b"), Hold: refused()},
		{Name: "hosts/nominated by Connection", Section: "9110 7.6.1", Send: get("Host: a", "Connection: Host"), Hold: either(refused(), all(served("GET /a"), host("a")))},
		{Name: "hosts/X-Forwarded-Host of a stranger", Section: "7239 8.1", Send: get("Host: a", "X-Forwarded-Host: evil"), Hold: either(refused(), all(served("GET /a"), forwarded("X-Forwarded-Host", "a")), all(served("GET /a"), forwarded("X-Forwarded-Host", "")))},
	}
}

// oneTarget wants the forwarded target not to name another host than Host does.
func oneTarget(r *Result) error {
	return verdict("the forwarded target and Host differ", func(r *Result) bool {
		u := r.Seen[0].Request.URL
		return u.Host == "" || u.Host == r.Seen[0].Request.Host
	})(r)
}
