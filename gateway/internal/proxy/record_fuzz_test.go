package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/internal/access"
)

// FuzzLine has a line made of whatever comes as a request, read or not, from a peer that is trusted or not: it is one line of
// printable ASCII that is one object.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\"\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: \xff\r\n\r\n",
		"GET http://me:pw@a/b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9, ::1, x\r\n\r\n",
		"BREW \xff\x00 HTTP/1.1\nA", "OPTIONS * HTTP/1.0\r\n\r\n", "\r\n\r\nGET :///?# HTTP/1.1\r\nA : b\r\n\r\n", "",
	} {
		f.Add([]byte(s))
	}
	l := access.New(new(nowhere), func(error) {})
	f.Cleanup(func() { _ = l.Close(f.Context()) })
	far := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, trusted := range []bool{false, true} {
			x := &exchange{}
			x.conn = &conn{listener: "http", addr: far, ip: []byte(far.String())}
			x.table = compiled(Route{Name: "all"})
			x.table.Access, x.table.AccessQuery = l, true
			if trusted {
				x.table.Trusted = map[string][]netip.Prefix{"http": {netip.PrefixFrom(far, 24)}}
			}
			x.arrived = time.Now()
			br := bufio.NewReaderSize(bytes.NewReader(sent), headBuffer)
			if err := x.read(br); err != nil {
				x.guess(br)
			} else {
				if x.problem = x.check(); x.problem == noProblem {
					x.route = x.table.route(x.host, x.path, &x.head)
				}
			}
			line := x.appendLine(nil, trusted)
			end := len(line) - 1
			if !json.Valid(line) || bytes.ContainsFunc(line[:end], func(r rune) bool { return r < ' ' || r > '~' }) || line[end] != '\n' {
				t.Errorf("%q", line)
			}
		}
	})
}
