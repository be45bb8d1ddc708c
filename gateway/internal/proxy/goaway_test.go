package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// script2 is an endpoint of HTTP/2 that sends whatever frames a script likes, on each connection.
func script2(t *testing.T, each func(n int, c net.Conn, ln net.Listener)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, prefaceLen)); err == nil {
					_, _ = io.WriteString(c, frame(settingsFrame, 0, 0, ""))
					each(n, c, ln)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

// answer2 is a response with that body.
func answer2(stream uint32, body string) string {
	return frame(headersFrame, blockEnds, stream, "\x88") + frame(dataFrame, streamEnds, stream, body) // :status 200 is 8 in the table
}

func goAway(last uint32, code byte) string {
	return frame(goAwayFrame, 0, 0, string([]byte{byte(last >> 24), byte(last >> 16), byte(last >> 8), byte(last), 0, 0, 0, code}))
}

// heads2 calls f with the streams that requests come on, until it says that it is enough or the connection ends.
func heads2(c net.Conn, f func(stream uint32) (more bool)) {
	for {
		switch got, err := read2(c); {
		case err != nil:
			return
		case got.kind == headersFrame && !f(got.stream):
			return
		}
	}
}

// TestGoAway: of the requests on a connection that an endpoint leaves, those that it has looked at are finished, and the others,
// POSTs too, are made again: on a new connection if it takes one, else elsewhere (RFC 9113, section 6.8).
func TestGoAway(t *testing.T) {
	for name, farewell := range map[string]string{
		"at once": goAway(1, 0),
		"as RFC 9113 advises, with a warning before": goAway(1<<31-1, 0) + goAway(1, 0),
		"for an error of ours":                       goAway(1, 11), // ENHANCE_YOUR_CALM
	} {
		for _, stays := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, takes connections: %v", name, stays), func(t *testing.T) { testGoAway(t, farewell, stays) })
		}
	}
}

func testGoAway(t *testing.T, farewell string, stays bool) {
	begun := make(chan uint32)
	leaving := script2(t, func(n int, c net.Conn, ln net.Listener) {
		if n > 0 {
			heads2(c, func(stream uint32) bool {
				_, err := io.WriteString(c, answer2(stream, "new"))
				return err == nil
			})
			return
		}
		heads2(c, func(stream uint32) bool {
			begun <- stream
			return stream < 5
		})
		if !stays {
			_ = ln.Close()
		}
		_, _ = io.WriteString(c, farewell+answer2(1, "old"))
		_, _ = io.Copy(io.Discard, c)
	})
	var executed atomic.Int64
	other := endpoint2(t, func(w http.ResponseWriter, _ *http.Request) {
		executed.Add(1)
		_, _ = io.WriteString(w, "other")
	})
	g := startAt(t, options{config: Config{H2C: true}, pool: upstream.Config{HTTP2: true}}, leaving, other)
	c := g.client2()
	anew := "other"
	if stays {
		anew = "new"
	}
	var all sync.WaitGroup
	for i, want := range []string{"old", anew, anew} {
		all.Go(func() {
			resp, err := c.Do(request2(t, g, "POST", "/", strings.NewReader("abc")))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(got) != want || err != nil {
				t.Errorf("request %d: got %d %q, %v; want %q", i, resp.StatusCode, got, err, want)
			}
		})
		if stream := <-begun; stream != uint32(2*i+1) {
			t.Errorf("request %d came on stream %d", i, stream)
		}
	}
	all.Wait()
	if n := executed.Load(); !stays && n != 2 || stays && n != 0 {
		t.Errorf("the other endpoint executed %d requests", n)
	}
}
