package proxy

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

// ProxyProtocol says from whom a listener reads PROXY headers.
type ProxyProtocol struct {
	Trusted  []netip.Prefix // peers that are asked for one
	Required bool           // one that sends none is closed, else it is served as itself
	Timeout  time.Duration  // for the whole header
}

func (p *ProxyProtocol) trusts(a netip.Addr) bool { return contains(p.Trusted, a) }

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

var proxyHeaders = sync.Pool{New: func() any { return new([proxyproto.MaxHeader]byte) }}

// introduced reads a PROXY header, and makes the connection that of the client it names. It reports false if the connection
// is only to be closed.
func (c *conn) introduced(p *ProxyProtocol) bool {
	buf := proxyHeaders.Get().(*[proxyproto.MaxHeader]byte)
	defer proxyHeaders.Put(buf)
	h, rest, err := proxyproto.Read(c.TCPConn, time.Now().Add(p.Timeout), buf[:])
	_ = c.TCPConn.SetReadDeadline(time.Time{})
	c.early = append(c.early, rest...)
	switch {
	case err == proxyproto.ErrNone && !p.Required:
		return true
	case err == nil:
		if h.TLS.Used {
			c.scheme = "https"
		}
		if h.Source.IsValid() {
			c.between(h.Source, h.Destination)
		}
		c.describe()
		return true
	case err != io.EOF: // else it was a check that only connects
		c.server.stats.introductions.Add(1)
		c.server.introduction.say(c.server.log, "closed a connection without a good PROXY header", "listener", c.listener, "peer", c.addr.String(), "err", err)
	}
	c.aborted = true
	return false
}
