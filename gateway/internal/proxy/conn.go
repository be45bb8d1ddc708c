package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

// phase is what a client's connection is at. It decides how long a read may take, and what the end of it means.
type phase uint32

const (
	waiting     phase = iota // for the first byte of a request
	heading                  // within a request's head
	multiplexed              // HTTP/2: requests come and go on it at once
	tunnelled                // no requests any more: see tunnel
	busy                     // a request is being served; what is read is its body
)

const (
	// writeTimeout bounds one write of at most copyBuffer bytes to a client.
	writeTimeout = 30 * time.Second
	// lingerTimeout bounds how long a client that is still sending may take to notice that it was answered.
	lingerTimeout = 2 * time.Second
	copyBuffer    = 64 << 10
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// epoch is the origin of the monotonic clock that deadlines are kept on: it is read twice as fast as the time of day.
var epoch = time.Now()

// now returns nanoseconds since epoch, and at their time.
func now() int64           { return int64(time.Since(epoch)) }
func at(t int64) time.Time { return epoch.Add(time.Duration(t)) }

// conn is a connection from a client. It keeps the deadlines that fasthttp would set anew for every request, and makes
// a body that was cut off look like one.
type conn struct {
	*socket.Conn
	server   *Server
	listener string // its name
	number   uint16 // of the listener

	tls        *tls.Conn    // nil without TLS
	records    records      // of it, that have come
	version    string       // of TLS
	early      []byte       // read, but not yet by whom it is for
	protocol   string       // that it speaks, once it has shaken hands
	client     netip.Prefix // as which it is counted; invalid if it is not
	addr       netip.Addr
	port       uint16
	ip         []byte            // of the client, as X-Forwarded-For has it
	forwarded  string            // the same as Forwarded has it
	shown      *x509.Certificate // what the client was shown in TLS, if it is known
	sni        []byte            // the name that the client asked for in TLS
	identity   []byte            // whom the certificate is for that was verified; empty if there is none
	clientCert []byte            // that was verified, as Client-Cert has it (RFC 9440); empty if there is none
	scheme     string            // that the client used, http or https
	local      string            // host:port that the client connected to

	destination netip.AddrPort // the same

	phase   atomic.Uint32
	served  int   // requests of HTTP/1
	begun   bool  // a request has come on it
	armed   bool  // for the read that comes
	park    bool  // Close parks it
	idleBy  int64 // when the wait for a request is over, as now counts
	headBy  int64 // as now counts; set at the second read of a head
	hurryBy int64 // 0, or what bounds reads of a body instead
	readBy  int64 // deadlines that the socket has
	writeBy int64

	interrupted atomic.Bool
	watched

	linger  bool // let the client read the answer before the connection is reset for what it still sends
	aborted bool // make sure that the client sees that the response is not whole
}

func (s *Server) newConn(c *net.TCPConn, listener string, number uint16) *conn {
	w := &conn{Conn: socket.New(c), server: s, listener: listener, number: number, scheme: "http"}
	w.between(c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort())
	w.describe()
	return w
}

// between notes whose connection it is, and what it was made to.
func (c *conn) between(source, destination netip.AddrPort) {
	c.addr, c.port = source.Addr().Unmap().WithZone(""), source.Port()
	c.destination = netip.AddrPortFrom(destination.Addr().Unmap().WithZone(""), destination.Port())
	c.local = c.destination.String()
}

// describe writes down what endpoints are told of the client.
func (c *conn) describe() {
	c.ip = []byte(c.addr.String())
	if c.addr.Is4() {
		c.forwarded = "for=" + string(c.ip) + ";proto=" + c.scheme
	} else {
		c.forwarded = `for="[` + string(c.ip) + `]";proto=` + c.scheme
	}
}

func (c *conn) enter(p phase) {
	c.phase.Store(uint32(p))
	c.headBy = 0
}

func (c *conn) is(p phase) bool { return phase(c.phase.Load()) == p }

// Read reads with the deadline of the phase. Within a body the end of the stream is an error.
func (c *conn) Read(p []byte) (int, error) {
	t := c.server.table.Load()
	was := phase(c.phase.Load())
	switch was {
	case waiting:
		if !c.armed {
			c.armWait(t)
		}
		c.armed = false
	case heading:
		if c.headBy == 0 {
			c.headBy = now() + int64(t.HeaderTimeout)
			c.readBy = c.headBy
			_ = c.TCPConn.SetReadDeadline(at(c.headBy))
		}
	case busy:
		if c.hurryBy == 0 {
			c.armRead(now(), t.BodyTimeout, t.BodyTimeout/32)
			break
		}
		c.readBy = c.hurryBy
		_ = c.TCPConn.SetReadDeadline(at(c.readBy))
	case tunnelled, multiplexed: // the tunnel, and HTTP/2, see to that
	}
	if c.interrupted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.stream().Read(p)
	if c.tls != nil {
		if n > 0 && n < len(p) {
			c.records.read()
		}
		if was == waiting && n == 0 && isTimeout(err) && !c.parkable() && now() < c.idleBy {
			_ = c.TCPConn.SetReadDeadline(at(c.idleBy)) // a part of a record has come
			c.readBy = c.idleBy
			n, err = c.tls.Read(p)
		}
	}
	if was == waiting {
		if n > 0 {
			c.begun = true
			c.phase.CompareAndSwap(uint32(waiting), uint32(heading))
		} else {
			c.park = c.parks(err)
		}
	}
	if err == io.EOF && was == busy {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// armWait bounds the wait for a request, or the part of it before the connection is parked.
func (c *conn) armWait(t *table) {
	d := t.IdleTimeout
	if !c.begun {
		d = t.HeaderTimeout
	}
	at := now()
	c.idleBy = at + int64(d)
	if d > 2*parkAfter && c.parkable() {
		c.armRead(at, parkAfter, parkAfter)
	} else {
		c.armRead(at, d, d/32)
	}
}

// await waits for the first byte of a request, and reports false if none comes. It may be wrong: then Read waits.
func (c *conn) await() bool {
	if len(c.early) > 0 || c.tls != nil && !c.records.none() {
		return true
	}
	c.armWait(c.server.table.Load())
	c.armed = true
	err := c.Conn.Await()
	c.park = err != nil && c.parks(err)
	return err == nil
}

// stream is what requests are read from and answers written to.
func (c *conn) stream() io.ReadWriter {
	if c.tls != nil {
		return c.tls
	}
	return wire{c}
}

// wire is the connection below TLS.
type wire struct{ *conn }

// Read reads what was read before, then from the socket.
func (s wire) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	return s.Conn.Read(p)
}

// Write writes to the socket.
func (s wire) Write(p []byte) (int, error) { return s.Conn.Write(p) }

// Close closes the socket.
func (s wire) Close() error { return s.TCPConn.Close() }

// armRead bounds the read that begins at t to d, or up to slack more: so a deadline serves many reads.
func (c *conn) armRead(t int64, d, slack time.Duration) {
	if left := time.Duration(c.readBy - t); left < d || left > d+slack {
		c.readBy = t + int64(d+slack)
		_ = c.TCPConn.SetReadDeadline(at(c.readBy))
	}
}

func (c *conn) armWrite() {
	t := now()
	if left := time.Duration(c.writeBy - t); left < writeTimeout || left > writeTimeout*9/8 {
		c.writeBy = t + int64(writeTimeout*9/8)
		_ = c.TCPConn.SetWriteDeadline(at(c.writeBy))
	}
}

// Write bounds every write, however long the response is in all.
func (c *conn) Write(p []byte) (int, error) {
	c.armWrite()
	return c.stream().Write(p)
}

// pass copies r to w, each piece as soon as it has come.
func pass(w io.Writer, r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	var total int64
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// interruptRead makes a Read that waits, in whichever goroutine, fail. The connection is of no use after that.
func (c *conn) interruptRead() {
	c.interrupted.Store(true)
	_ = c.TCPConn.SetReadDeadline(time.Unix(1, 0))
}

// Close closes the connection as the last response on it demands. One that only waits for a request is parked: whoever has
// served it closes it when there is nothing more to do on it, and is done with it then.
func (c *conn) Close() error {
	if c.park {
		c.park = false
		if c.server.parked.park(c) {
			return nil
		}
	}
	defer c.server.forget(c)
	switch {
	case c.aborted:
		_ = c.SetLinger(0)
	case c.linger:
		// Closing with unread bytes in the socket resets it, and a reset takes away the answer that the client has not
		// read yet (RFC 9112, section 9.6).
		if c.CloseWrite() == nil {
			_ = c.TCPConn.SetReadDeadline(time.Now().Add(lingerTimeout))
			buf := copyBuffers.Get().(*[copyBuffer]byte)
			for {
				if _, err := c.TCPConn.Read(buf[:]); err != nil {
					break
				}
			}
			copyBuffers.Put(buf)
		}
	}
	if c.tls != nil && !c.aborted {
		_ = c.TCPConn.SetWriteDeadline(time.Now().Add(time.Second))
		_ = c.tls.CloseWrite() // the alert that says that nothing was cut off
	}
	return c.TCPConn.Close()
}

// CloseWrite says that nothing more comes.
func (c *conn) CloseWrite() error {
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return c.TCPConn.CloseWrite()
}
