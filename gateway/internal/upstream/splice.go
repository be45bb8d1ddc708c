package upstream

import (
	"io"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

// Direct returns how many bytes of the body are still to come as they are by a plain connection: those behind the ones that the
// next Read gives. It is 0 with TLS, in HTTP/2, and for a body whose length was not said.
func (c *Conn) Direct() int64 {
	if c.call != nil || c.framing != fixed || c.done || c.stream != stream(c.tcp) {
		return 0
	}
	return c.left - int64(c.br.Buffered())
}

// Buffered returns how many bytes of the body [Conn.Read] has without a look at the connection.
func (c *Conn) Buffered() int { return c.br.Buffered() }

// Fill moves bytes of the body into an empty pipe, where Direct says that all of it is still to come. Its errors are those of
// Read, but for io.EOF.
func (c *Conn) Fill(p *socket.Pipe) (n int, err error) {
	n, err = p.Fill(c.tcp, int(min(c.left, 1<<30)))
	c.left -= int64(n)
	c.done = c.left == 0
	if err != nil {
		if c.readErr = err; err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, c.bodyError(err)
}
