package gatewaytest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Client is one connection to the gateway, on which a test sends whatever bytes it likes.
type Client struct {
	*net.TCPConn
	tb testing.TB
	br *bufio.Reader
}

// Response is a response that was read to its end.
type Response struct {
	*http.Response
	Text string // the body
}

// Dial connects to address. The connection is closed when the test ends.
func Dial(tb testing.TB, address string) *Client {
	tb.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		tb.Fatalf("client: %v", err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &Client{TCPConn: c.(*net.TCPConn), tb: tb, br: bufio.NewReader(c)}
}

// Send writes bytes as they are.
func (c *Client) Send(b string) {
	c.tb.Helper()
	if _, err := io.WriteString(c, b); err != nil {
		c.tb.Fatalf("client: %v", err)
	}
}

// Head reads the head of the next response to a request of that method; Body streams.
func (c *Client) Head(method string) (*http.Response, error) {
	return http.ReadResponse(c.br, &http.Request{Method: method})
}

// Next reads the next response to a request of that method, to its end.
func (c *Client) Next(method string) (*Response, error) {
	r, err := c.Head(method)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	return &Response{r, string(b)}, err
}

// Do sends a request as it stands and reads one response. The method is the first word of it.
func (c *Client) Do(request string) *Response {
	c.tb.Helper()
	c.Send(request)
	var method string
	_, _ = fmt.Sscan(request, &method)
	r, err := c.Next(method)
	if err != nil {
		c.tb.Fatalf("client: response to %.60q: %v", request, err)
	}
	return r
}

// Get is a GET of a path of host "test".
func (c *Client) Get(path string, fields ...string) *Response {
	c.tb.Helper()
	return c.Do(Head("GET", path, fields...))
}

// Post is a POST with a body.
func (c *Client) Post(path, body string, fields ...string) *Response {
	c.tb.Helper()
	return c.Do(Head("POST", path, append(fields, fmt.Sprintf("Content-Length: %d", len(body)))...) + body)
}

// Head returns the head of a request to host "test".
func Head(method, path string, fields ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method, path, lines(fields))
}

// Ended reports whether the gateway closed or reset the connection, with nothing before that.
func (c *Client) Ended() error {
	b, err := c.br.Peek(1)
	var timeout net.Error
	switch {
	case len(b) > 0:
		rest, _ := c.br.Peek(c.br.Buffered())
		return fmt.Errorf("connection is open and has %q; want it closed", rest)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("connection is still open after %v; want it closed", patience)
	}
	return nil
}

// Eventually waits until ok, which something else is about to make true.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// Reader returns what reads the connection; earlier responses may have left bytes in it.
func (c *Client) Reader() *bufio.Reader { return c.br }
