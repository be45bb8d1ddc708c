package proxy

import (
	"bufio"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func parsedHead(tb testing.TB, lines string) *head {
	tb.Helper()
	x := new(exchange)
	if err := x.read(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\n" + lines + "\r\n"))); err != nil || x.head.unread != noProblem {
		tb.Fatalf("%q: %v %s", lines, err, problems[x.head.unread].Name)
	}
	return &x.head
}

func compiled(routes ...Route) *table {
	return compile((&Config{Routes: routes}).withDefaults(), func(*Route) (*clusterState, *routeCounters) {
		return new(clusterState), new(routeCounters)
	})
}

func TestRoute(t *testing.T) {
	table := compiled(
		Route{Name: "any", Path: "/"},
		Route{Name: "any-api", Path: "/api/"},
		Route{Name: "exact", Host: "Shop.Example.com", Path: ""},
		Route{Name: "exact-deep", Host: "shop.example.com", Path: "/a/b"},
		Route{Name: "wild", Host: "*.example.com", Path: "/"},
		Route{Name: "wilder", Host: "*.eu.example.com", Path: "/only"},
		Route{Name: "plain", Host: "beta.example.com", Path: "/x"},
		Route{Name: "beta", Host: "beta.example.com", Path: "/x", Headers: []Match{{"X-Beta", "1"}}},
		Route{Name: "beta-any", Host: "beta.example.com", Path: "/x", Headers: []Match{{"x-beta", ""}, {"X-Tester", ""}}},
		Route{Name: "six", Host: "[::1]"},
	)
	for _, c := range []struct{ host, path, lines, want string }{
		{"other.net", "/", "", "any"},
		{"other.net", "/api", "", "any-api"},
		{"other.net", "/api/", "", "any-api"},
		{"other.net", "/api/x/y", "", "any-api"},
		{"other.net", "/apis", "", "any"},
		{"other.net", "//api", "", "any"},
		{"other.net", "*", "", "any"},
		{"shop.example.com", "/", "", "exact"},
		{"SHOP.example.COM.:8080", "/a", "", "exact"},
		{"shop.example.com", "/a/b/c", "", "exact-deep"},
		{"shop.example.com", "/a/bc", "", "exact"},
		{"x.example.com", "/", "", "wild"},
		{"x.y.example.com", "/", "", "wild"},
		{"example.com", "/", "", "any"},
		{"xexample.com", "/", "", "any"},
		{"x.eu.example.com", "/only", "", "wilder"},
		{"x.eu.example.com", "/else", "", "wild"},
		{"beta.example.com", "/x", "", "plain"},
		{"beta.example.com", "/x", "x-beta: 1\r\n", "beta"},
		{"beta.example.com", "/x", "X-Beta: 2\r\n", "plain"},
		{"beta.example.com", "/x/z", "X-Beta: 1\r\nX-Tester: me\r\n", "beta-any"},
		{"beta.example.com", "/y", "", "wild"},
		{"[::1]:8080", "/", "", "six"},
		{"", "/", "", "any"},
	} {
		r := table.route([]byte(c.host), []byte(c.path), parsedHead(t, c.lines))
		if r == nil || r.Name != c.want {
			t.Errorf("%s%s %q: got %+v; want %s", c.host, c.path, c.lines, r, c.want)
		}
	}
	if r := compiled(Route{Name: "api", Path: "/api"}).route([]byte("h"), []byte("/"), parsedHead(t, "")); r != nil {
		t.Errorf("got %s; want no route", r.Name)
	}
}

func TestStripPrefix(t *testing.T) {
	for _, c := range []struct{ strip, target, want string }{
		{"/api", "/api/x?y=/api", "/x?y=/api"},
		{"/api/", "/api/x", "/x"},
		{"/api", "/api", "/"},
		{"/api", "/api?x", "/?x"},
		{"/api", "/api/", "/"},
		{"/api", "/apis/x", "/apis/x"},
		{"", "/api//%2F", "/api//%2F"},
		{"/api", "/API/x", "/API/x"},
	} {
		r := compiled(Route{StripPrefix: c.strip}).any[""][0]
		if got := string(r.forwarded(nil, []byte(c.target))); got != c.want {
			t.Errorf("%s without %s: got %s; want %s", c.target, c.strip, got, c.want)
		}
	}
}

func TestUpdate(t *testing.T) {
	e := gatewaytest.NewEndpoint(t)
	g := start(t, options{}, e)
	c := g.dial()
	if r := c.Get("/old"); r.StatusCode != 200 {
		t.Fatalf("got %d", r.StatusCode)
	}
	next := g.config
	next.Routes = []Route{{Name: "new", Path: "/new", Cluster: g.cluster, StripPrefix: "/new"}}
	g.Update(&next)
	if r := c.Get("/old"); r.StatusCode != 404 {
		t.Errorf("old route: got %d; want 404 on the same connection", r.StatusCode)
	}
	if r := c.Get("/new/x"); r.StatusCode != 200 || e.Requests()[1].Target != "/x" {
		t.Errorf("new route: got %d, target %s", r.StatusCode, e.Requests()[1].Target)
	}
	counts := map[string]uint64{}
	for _, r := range g.Stats().Routes {
		counts[r.Route] = r.Codes[2] + r.Codes[4]
	}
	if counts["all"] != 1 || counts["new"] != 1 || counts[""] != 1 {
		t.Errorf("requests by route %v; want one each, the old one's kept", counts)
	}
}
