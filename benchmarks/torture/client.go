package torture

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// quiet is how long a connection is watched for bytes that must not come.
const quiet = 120 * time.Millisecond

// Client is the raw client of a case.
type Client struct {
	Responses []Response // final ones
	Interim   []Response // 1xx
	Ended     error      // how the connection ended: io.EOF, or a reset; nil if it is open
	Stalled   bool       // a response that was waited for did not come, or not to its end
	Garbage   error      // what came was not HTTP

	conn    net.Conn
	br      *bufio.Reader
	baton   *baton
	gateway string
	methods []string        // of requests whose responses have not come
	problem string          // what the case's own client found wrong
	wire    strings.Builder // all that came
}

// Response is one response as net/http reads it.
type Response struct {
	*http.Response
	Text string
	Err  error // why its body is not whole
}

func dial(gateway string, b *baton) (*Client, error) {
	c, err := net.Dial("tcp", gateway)
	if err != nil {
		return nil, err
	}
	client := &Client{conn: c, baton: b, gateway: gateway}
	client.br = bufio.NewReader(io.TeeReader(c, &client.wire))
	return client, nil
}

// Send writes bytes. A gateway that has closed is no error yet.
func (c *Client) Send(s string) { _, _ = io.WriteString(c.conn, s) }

// Asks says which methods the next responses answer; a HEAD that is not told has a body. Without it they are GETs.
func (c *Client) Asks(methods ...string) { c.methods = methods }

// Read reads n more final responses, or up to what is wrong. It reports whether they came.
func (c *Client) Read(n int) bool {
	for ; n > 0; n-- {
		if !c.readOne() {
			return false
		}
	}
	return true
}

func (c *Client) readOne() bool {
	for {
		r, err := c.Head()
		if err != nil {
			return false
		}
		interim := r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols
		if interim {
			c.Interim = append(c.Interim, Response{Response: r})
			continue
		}
		if len(c.methods) > 0 {
			c.methods = c.methods[1:]
		}
		var b []byte
		if r.StatusCode != http.StatusSwitchingProtocols {
			b, err = io.ReadAll(r.Body)
		}
		c.Responses = append(c.Responses, Response{r, string(b), err})
		if err != nil {
			c.note(err)
			return false
		}
		return true
	}
}

// Head reads the head of one response, whatever its status.
func (c *Client) Head() (*http.Response, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.br.Peek(1); err != nil {
		c.note(err)
		return nil, err
	}
	method := http.MethodGet
	if len(c.methods) > 0 {
		method = c.methods[0]
	}
	r, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		c.note(err)
		if c.Ended == nil && !c.Stalled || errors.Is(err, io.ErrUnexpectedEOF) {
			c.Garbage = err
		}
	}
	return r, err
}

func (c *Client) note(err error) {
	var ne net.Error
	switch {
	case errors.As(err, &ne) && ne.Timeout():
		c.Stalled = true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.Ended = io.EOF
	case isReset(err):
		c.Ended = err
	}
}

func isReset(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe"))
}

// More waits for d for another byte, or the end of the connection, and reports whether a byte came.
func (c *Client) More(d time.Duration) bool {
	if c.Ended != nil {
		return false
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	_, err := c.br.Peek(1)
	var ne net.Error
	if err != nil && (!errors.As(err, &ne) || !ne.Timeout()) {
		c.note(err)
	}
	return err == nil
}

// Next reads exactly n bytes that are no head.
func (c *Client) Next(n int) string {
	b := make([]byte, n)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := io.ReadFull(c.br, b)
	if err != nil {
		c.note(err)
	}
	return string(b[:n])
}

// Want notes a problem if what was got is not what is wanted.
func (c *Client) Want(what, got, want string) {
	if got != want && c.problem == "" {
		c.problem = what + ": got " + quote(got) + ", want " + quote(want)
	}
}

// Hold notes a problem unless ok.
func (c *Client) Hold(what string, ok bool) {
	if !ok && c.problem == "" {
		c.problem = what
	}
}

// Tell lets one Wait of the endpoint return.
func (c *Client) Tell() { pass(c.baton.toEndpoint) }

// Wait waits until the endpoint tells something.
func (c *Client) Wait() bool { return take(c.baton.toClient) }

// CloseWrite ends the client's side only.
func (c *Client) CloseWrite() { _ = c.conn.(*net.TCPConn).CloseWrite() }

// Reset ends the connection with RST.
func (c *Client) Reset() {
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() }
