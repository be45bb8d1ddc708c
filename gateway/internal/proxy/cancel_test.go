package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// The moments at which a client goes away.
const (
	beforeHead = "/head"   // it waits for the head
	inBody     = "/body"   // the body pauses
	inFlow     = "/flow"   // the body comes without end, and is not read
	inUpload   = "/upload" // its own body pauses
)

// flow writes without end until that fails.
func flow(w io.Writer) {
	for block := make([]byte, 32<<10); ; {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// deserted is an endpoint that says when a request is under way, and when it is given up.
type deserted struct{ began, ended chan struct{} }

func (d deserted) http1(x *gatewaytest.Exchange) {
	if x.Request.Target == inUpload {
		x.ReadPart(3)
		d.began <- struct{}{}
		if x.ReadBody() != nil {
			d.ended <- struct{}{}
		}
		x.Close()
		return
	}
	_ = x.ReadBody()
	switch x.Request.Target {
	case inBody:
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	case inFlow:
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nabc")
		d.began <- struct{}{}
		flow(x.Conn)
		d.ended <- struct{}{}
		x.Close()
		return
	}
	d.began <- struct{}{}
	_ = x.ReadRaw(1)
	d.ended <- struct{}{}
	x.Close()
}

func (d deserted) http2(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == inBody || r.URL.Path == inFlow {
		_, _ = io.WriteString(w, "abc")
		_ = http.NewResponseController(w).Flush()
	}
	if r.URL.Path == inUpload {
		_, _ = io.ReadFull(r.Body, make([]byte, 3))
	}
	d.began <- struct{}{}
	switch r.URL.Path {
	case inUpload:
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			return
		}
	case inFlow:
		flow(w)
	default:
		<-r.Context().Done()
	}
	d.ended <- struct{}{}
}

// leavers are the ways in which clients go away: each makes a request, and returns what leaves.
var leavers = map[string]func(g *gateway, moment string) (leave func()){
	"HTTP/1 closes": func(g *gateway, moment string) func() { c := g.leave1(moment); return func() { _ = c.Close() } },
	"HTTP/1 resets": func(g *gateway, moment string) func() {
		c := g.leave1(moment)
		return func() { _, _ = c.SetLinger(0), c.Close() }
	},
	"HTTP/2 resets its stream": func(g *gateway, moment string) func() {
		c := g.leave2(moment)
		return func() { c.Send(frame(resetFrame, 0, 1, cancelCode)) }
	},
	"HTTP/2 closes": func(g *gateway, moment string) func() { c := g.leave2(moment); return func() { _ = c.Close() } },
}

func (g *gateway) leave1(moment string) *gatewaytest.Client {
	c := g.dial()
	switch moment {
	case inUpload:
		c.Send(gatewaytest.Head("PUT", moment, "Content-Length: 100000") + "abc")
	default:
		c.Send(gatewaytest.Head("GET", moment))
	}
	if moment == inBody || moment == inFlow {
		r, err := c.Head("GET")
		if err == nil {
			_, err = io.ReadFull(r.Body, make([]byte, 3))
		}
		if err != nil {
			g.tb.Error(err)
		}
	}
	return c
}

func (g *gateway) leave2(moment string) *raw2 {
	c := g.dial2("")
	if moment == inUpload {
		c.Send(frame(headersFrame, blockEnds, 1, strings.Replace(get2(moment), "\x03GET", "\x03PUT", 1)) + frame(dataFrame, 0, 1, "abc"))
	} else {
		c.Send(frame(headersFrame, blockEnds|streamEnds, 1, get2(moment)))
	}
	if moment == inBody || moment == inFlow {
		c.next(dataFrame, 1)
	}
	return c
}

// TestClientsThatGoAway: what an endpoint does for a client that is gone ends at once, whoever speaks what, and whenever it goes.
func TestClientsThatGoAway(t *testing.T) {
	for name, begin := range leavers {
		for _, http2 := range []bool{false, true} {
			for _, moment := range []string{beforeHead, inBody, inFlow, inUpload} {
				t.Run(name+" "+map[bool]string{false: "HTTP/1", true: "HTTP/2"}[http2]+moment, func(t *testing.T) {
					t.Parallel()
					d := deserted{make(chan struct{}, 1), make(chan struct{}, 1)}
					var address string
					if http2 {
						address = endpoint2(t, d.http2)
					} else {
						address = gatewaytest.NewEndpoint(t, d.http1).Address()
					}
					g := startAt(t, options{config: Config{H2C: true}, pool: upstream.Config{HTTP2: http2}, route: Route{Timeout: time.Hour, PerTryTimeout: time.Hour}}, address)
					leave := begin(g, moment)
					<-d.began
					at := time.Now()
					leave()
					select {
					case <-d.ended:
						t.Log(time.Since(at))
					case <-time.After(10 * time.Second):
						t.Error("the endpoint still works for it after 10 s")
					}
				})
			}
		}
	}
}
