package proxy

import (
	"io"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestFloods: a client that makes work with frames that bring nothing loses its connection or is held up, and others are served.
func TestFloods(t *testing.T) {
	const (
		data, headers, reset, settings, ping, continuation = 0, 1, 3, 4, 6, 9
		endStream, endHeaders                              = 1, 4
		get                                                = "\x82\x86\x84\x41\x01a" // GET http://a/
		post                                               = "\x83\x86\x84\x41\x01a"
		cancel                                             = "\x00\x00\x00\x08"
	)
	field := block("x", strings.Repeat("v", 256))
	for name, q := range map[string]struct {
		first string
		each  func(n uint32) string
		most  int    // of each; then the connection has to be over
		kind  string // that it is counted as
	}{
		"streams that are reset at once (CVE-2023-44487)": {
			"", func(n uint32) string {
				return frame(headers, endStream|endHeaders, 2*n+1, get) + frame(reset, 0, 2*n+1, cancel)
			}, 20_000, "reset",
		},
		"a header block without an end (CVE-2024-27316)": {
			frame(headers, endStream, 1, get), func(uint32) string { return frame(continuation, 0, 1, field) }, 10_000, "continuation",
		},
		"a header list that does not fit": {
			"", func(n uint32) string {
				return frame(headers, endStream, 2*n+1, get) + strings.Repeat(frame(continuation, 0, 2*n+1, strings.Repeat(field, 50)), 20) + frame(continuation, endHeaders, 2*n+1, "")
			}, 50, "continuation",
		},
		"SETTINGS":   {"", func(uint32) string { return frame(settings, 0, 0, "") }, 200_000, "settings"},
		"empty DATA": {frame(headers, endHeaders, 1, post), func(uint32) string { return frame(data, 0, 1, "") }, 200_000, "data"},
		"PING whose answers nobody reads": {
			"", func(uint32) string { return frame(ping, 0, 0, "12345678") }, 1_000_000, "ping",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, options{config: Config{H2C: true}}, gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
				if x.Request.Target == "/fine" {
					ok(x)
					return
				}
				_ = x.ReadRaw(1) // until it is given up
				x.Close()
			}))
			c := g.dial()
			c.Send(preface2 + frame(settings, 0, 0, "") + q.first)
			var b strings.Builder
			sent := 0
			for ; sent < q.most; sent++ {
				if b.WriteString(q.each(uint32(sent))); b.Len() > 16<<10 {
					if _, err := io.WriteString(c, b.String()); err != nil {
						break
					}
					b.Reset()
				}
			}
			if sent == q.most { // else it is over, or takes no more
				if _, err := io.Copy(io.Discard, c); isTimeout(err) {
					t.Errorf("the connection is still there after %d of them", sent)
				}
			}
			gatewaytest.Eventually(t, "it is counted", func() bool { return g.Stats().Floods[q.kind] == 1 })
			if resp, _ := g.ask2(g.client2(), request2(t, g, "GET", "/fine", nil)); resp.StatusCode != 200 {
				t.Errorf("another client got %d", resp.StatusCode)
			}
		})
	}
}
