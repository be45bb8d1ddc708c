package proxy

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// window2 writes a WINDOW_UPDATE.
func window2(stream uint32, n uint32) string {
	return frame(windowFrame, 0, stream, string(binary.BigEndian.AppendUint32(nil, n)))
}

// TestStreamsThatAreNotRead: clients of HTTP/2 that do not read some responses hold up neither their other streams nor anybody who
// shares a connection to the endpoint with them; and what they did not read is there when they do.
func TestStreamsThatAreNotRead(t *testing.T) {
	const (
		size   = 2 << 20
		window = 1<<16 - 1 // RFC 9113, section 6.9.2
		wide   = 1 << 26
		idle   = 8 // streams
	)
	large := strings.Repeat("x", size)
	address := endpoint2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = fmt.Fprint(w, large)
		}
	})
	g := startAt(t, options{config: Config{H2C: true}, pool: upstream.Config{HTTP2: true}}, address)
	c := g.dial2("")
	c.Send(window2(0, wide))
	read := func(stream uint32, n int) {
		for n > 0 {
			if n -= len(c.next(dataFrame, stream).payload); n < 0 {
				t.Errorf("stream %d: %d bytes more than its window came", stream, -n)
			}
		}
	}
	for i := range uint32(idle) {
		stream := 2*i + 1
		c.Send(frame(headersFrame, blockEnds|streamEnds, stream, get2("/large")))
		read(stream, window)
	}
	const another = 2*idle + 1
	c.Send(frame(headersFrame, blockEnds|streamEnds, another, get2("/large")) + window2(another, size))
	read(another, size)

	other := g.client2()
	for range 20 {
		if resp, body := g.ask2(other, request2(t, g, "GET", "/large", nil)); resp.StatusCode != 200 || len(body) != size {
			t.Errorf("another client got %d, %d bytes", resp.StatusCode, len(body))
		}
	}
	if n := g.pool(0).Stats().Dials; n != 1 {
		t.Errorf("%d connections to the endpoint; want one that all share", n)
	}
	for i := range uint32(idle) {
		c.Send(window2(2*i+1, size))
		read(2*i+1, size-window)
	}
}
