package proxy

import (
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/policies"
)

func TestRequestHeaders(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name    string
		trusted []netip.Prefix
		lines   []string
		want    map[string][]string // nil: absent
	}{
		{"ours are added", nil, nil, map[string][]string{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"test"},
			"Forwarded": {`for=127.0.0.1;proto=http;host="test"`}, "Via": {"1.1 weir"},
		}},
		{
			"a stranger's claims are replaced",
			nil,
			[]string{"X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2", "Forwarded: for=1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Real-IP: 1.1.1.1"},
			map[string][]string{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"test"},
				"Forwarded": {`for=127.0.0.1;proto=http;host="test"`}, "X-Forwarded-Port": nil, "X-Real-Ip": nil,
			},
		},
		{
			"a trusted peer's are added to",
			loopback,
			[]string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 10.2.2.2", "Forwarded: for=1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop", "X-Forwarded-Port: 443"},
			map[string][]string{
				"X-Forwarded-For": {"1.1.1.1, 10.2.2.2, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop"},
				"Forwarded": {`for=1.1.1.1, for=127.0.0.1;proto=http;host="test"`}, "X-Forwarded-Port": {"443"},
			},
		},
		{
			"what Connection names goes, in every line of it",
			nil,
			[]string{"Connection: X-A, keep-alive", "connection: x-b", "X-A: 1", "X-B: 2", "X-C: 3", "Keep-Alive: 1", "Proxy-Connection: close"},
			map[string][]string{"X-A": nil, "X-B": nil, "X-C": {"3"}, "Connection": nil, "Keep-Alive": nil, "Proxy-Connection": nil},
		},
		{
			"Connection cannot name our fields away",
			nil,
			[]string{"Connection: X-Forwarded-For, Forwarded, Via, Host, X-Forwarded-Host, Content-Length, X-Request-Id"},
			map[string][]string{"X-Forwarded-For": {"127.0.0.1"}, "Via": {"1.1 weir"}, "X-Forwarded-Host": {"test"}},
		},
		{
			"fields of one connection go",
			nil,
			[]string{"TE: trailers", "Trailer: X-T", "Proxy-Authorization: Basic eA==", "Upgrade: h2c", "Weir-Explain: x"},
			map[string][]string{"Te": {"trailers"}, "Connection": {"TE"}, "Trailer": nil, "Proxy-Authorization": nil, "Upgrade": nil, "Weir-Explain": nil},
		},
		{
			"end-to-end fields stay, all lines of them",
			nil,
			[]string{"Authorization: Bearer x", "User-Agent: one", "User-Agent: two", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id: mine", "Cookie: a=1; b=2", "Accept:text/html", "Empty:"},
			map[string][]string{
				"Authorization": {"Bearer x"}, "User-Agent": {"one", "two"}, "Cookie": {"a=1; b=2"}, "Accept": {"text/html"}, "Empty": {""},
				"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "X-Request-Id": {"mine"},
			},
		},
		{"Via is added to, whoever sent it", nil, []string{"Via: 1.0 a", "Via: 1.1 b"}, map[string][]string{"Via": {"1.0 a, 1.1 b, 1.1 weir"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := gatewaytest.NewEndpoint(t)
			g := start(t, options{config: Config{Trusted: map[string][]netip.Prefix{"http": c.trusted, "other": {netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0")}}}}, e)
			g.dial().Get("/", c.lines...)
			got := e.Requests()[0]
			for name, want := range c.want {
				if !slices.Equal(got.Header[name], want) {
					t.Errorf("%s: got %q; want %q", name, got.Header[name], want)
				}
			}
			if got.Host != "test" || !regexp.MustCompile(`^[0-9a-f]{16}$|^mine$`).MatchString(got.Header.Get("X-Request-Id")) {
				t.Errorf("host %q, request ID %q", got.Host, got.Header.Get("X-Request-Id"))
			}
		})
	}
	t.Run("an absolute target decides about the host", func(t *testing.T) {
		e := gatewaytest.NewEndpoint(t)
		start(t, options{}, e).dial().Do("GET http://real.example/p?q HTTP/1.1\r\nHost: other\r\n\r\n")
		if got := e.Requests()[0]; got.Host != "real.example" || got.Target != "/p?q" || got.Header.Get("X-Forwarded-Host") != "real.example" {
			t.Errorf("got host %q, target %q", got.Host, got.Target)
		}
	})
}

func TestResponseHeaders(t *testing.T) {
	e := gatewaytest.NewEndpoint(t, gatewaytest.RawClose("HTTP/1.1 200 Fine\r\nConnection: close, X-A\r\nX-A: 1\r\nX-B: 2\r\nKeep-Alive: timeout=5\r\n"+
		"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X-T\r\nServer: theirs\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.1 inner\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"), gatewaytest.Respond(200, "plain", "Date: Thu, 01 Jan 1970 00:00:00 GMT"))
	c := start(t, options{}, e).dial()
	r := c.Get("/")
	for name, want := range map[string][]string{
		"X-A": nil, "X-B": {"2"}, "Keep-Alive": nil, "Proxy-Authenticate": nil, "Upgrade": nil, "Trailer": nil, "Connection": nil,
		"Server": {"theirs"}, "Set-Cookie": {"a=1", "b=2"}, "Via": {"1.1 inner", "1.1 weir"}, "Content-Type": nil,
	} {
		if got := r.Header[name]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
	if r.Text != "ok" || r.Status != "200 Fine" || r.Close || len(r.Header["Date"]) != 1 {
		t.Errorf("got %q %q, close %v, date %q", r.Status, r.Text, r.Close, r.Header["Date"])
	}
	if r := c.Get("/"); r.Header.Get("Date") != "Thu, 01 Jan 1970 00:00:00 GMT" || r.Header["Content-Type"] != nil || r.Header["Server"] != nil {
		t.Errorf("the endpoint's Date, no Server and no Content-Type were to stay so: %v", r.Header)
	}
}

func TestFieldsPassAsTheyCame(t *testing.T) {
	const fields = "x-lower: 1\r\nETag: \"e\"\r\nSet-Cookie: a=1\r\nWWW-Authenticate:  Basic\r\nSet-Cookie: b=2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
	e := gatewaytest.NewEndpoint(t, gatewaytest.Raw("HTTP/1.1 200 OK\r\n"+fields+"Content-Length: 2\r\n\r\nok"))
	c := start(t, options{}, e).dial()
	c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	want := "HTTP/1.1 200 OK\r\n" + fields + "Via: 1.1 weir\r\nContent-Length: 2\r\n\r\nok"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.Reader(), got); err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestPolicySees(t *testing.T) {
	var seen policies.Request
	var text [policies.NumAttrs - 1]string
	var header, cookie string
	policy := picker(func(r *policies.Request, _ *policies.View) int {
		seen = *r
		for a := policies.AttrPath; a < policies.NumAttrs; a++ {
			text[a-1] = string(r.Attrs.Attr(a))
		}
		h, _ := r.Attrs.Header("x-user")
		k, _ := r.Attrs.Cookie("sid")
		header, cookie = string(h), string(k)
		return 0
	})
	keyOf := func(a Affinity, lines ...string) (uint64, bool) {
		t.Helper()
		g := start(t, options{policy: policy, route: Route{Affinity: a}}, gatewaytest.NewEndpoint(t))
		g.dial().Get("/p/q?user=7&x=1", lines...)
		return seen.KeyHash, seen.Flags&policies.HasKey != 0
	}
	same := []struct {
		a     Affinity
		lines []string
	}{
		{Affinity{HeaderKey, "X-User"}, []string{"x-user: 7"}},
		{Affinity{CookieKey, "uid"}, []string{"Cookie: a=1; uid=7; b=2"}},
		{Affinity{QueryKey, "user"}, nil},
	}
	first, has := keyOf(same[0].a, same[0].lines...)
	for _, s := range same[1:] {
		if k, ok := keyOf(s.a, s.lines...); k != first || !ok || !has {
			t.Errorf("%+v: key %x, %v; want that of the same bytes, %x", s.a, k, ok, first)
		}
	}
	if _, ok := keyOf(Affinity{HeaderKey, "X-User"}); ok {
		t.Error("a key without its header")
	}
	for _, a := range []Affinity{{Source: ClientIPKey}, {Source: PathKey}, {Source: QueryKey}} {
		if k, ok := keyOf(a); !ok || k == first {
			t.Errorf("%+v: key %x, %v", a, k, ok)
		}
	}
	keyOf(Affinity{}, "X-User: me", "Cookie: sid=abc")
	if got, want := strings.Join(text[:], "|"), "/p/q|user=7&x=1|test|GET||all|web|127.0.0.1|"; got != want {
		t.Errorf("attributes %s; want %s", got, want)
	}
	if header != "me" || cookie != "abc" {
		t.Errorf("header %q, cookie %q", header, cookie)
	}
	if want := policies.Idempotent | policies.Replayable; seen.Flags != want || seen.Method != policies.MethodGet || seen.Deadline <= 0 || seen.Now == 0 ||
		seen.Last.Endpoint != policies.None || seen.StickyEP != policies.None || netip.AddrFrom16(seen.ClientIP).Unmap().String() != "127.0.0.1" || seen.ClientPort == 0 {
		t.Errorf("%+v", seen)
	}
	if keyOf(Affinity{}, "Connection: upgrade", "Upgrade: websocket"); seen.Flags&policies.Upgrade == 0 {
		t.Errorf("a request for an upgrade has flags %b", seen.Flags)
	}
}
