package torture

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// streams: what has come goes on at once. Nothing here measures: the next piece is made when the one before it has
// arrived at the other end.
func streams() []Case {
	const section = "incremental-draft 1" // no RFC makes a gateway stream; event streams need it
	get := request("GET /a")
	any := func(*Result) error { return nil }
	// pieces reads a body piece by piece, and asks for the next one after each.
	pieces := func(c *Client, n int) {
		c.Send(get)
		r, err := c.Head()
		if err != nil {
			c.Hold("the head does not come before the body", false)
			return
		}
		for i := range n {
			want := fmt.Sprintf("data: %d\n\n", i)
			c.Tell()
			got := make([]byte, len(want))
			_, _ = io.ReadFull(r.Body, got)
			c.Want("piece "+fmt.Sprint(i), string(got), want)
			if c.problem != "" {
				return
			}
		}
	}
	send := func(head, piece, end string, n int) func(*Exchange) {
		return func(x *Exchange) {
			x.Write(head)
			for i := range n {
				if !x.Wait() {
					x.Close()
					return
				}
				s := fmt.Sprintf("data: %d\n\n", i)
				x.Write(fmt.Sprintf(strings.ReplaceAll(piece, "LEN", fmt.Sprintf("%x", len(s))), s))
			}
			if end == "" {
				x.Close()
				return
			}
			x.Write(end)
		}
	}
	const n = 5
	eventSize := len("data: 0\n\n")
	return []Case{
		{Name: "streams/events in chunks", Section: section, Client: func(c *Client) { pieces(c, n) }, Endpoint: send(response("200 OK", "", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"), "LEN\r\n%s\r\n", "0\r\n\r\n", n), Hold: any},
		{Name: "streams/events until the connection ends", Section: section, Client: func(c *Client) { pieces(c, n) }, Endpoint: send(response("200 OK", "", "Content-Type: text/event-stream"), "%s", "", n), Hold: any},
		{Name: "streams/a body with a length, piece by piece", Section: section, Client: func(c *Client) { pieces(c, n) }, Endpoint: send(response("200 OK", "", fmt.Sprintf("Content-Length: %d", n*eventSize)), "%s", "", n), Hold: any},
		{Name: "streams/an upload in chunks, piece by piece", Section: section, Client: uploadPieces(request("POST /a", "Transfer-Encoding: chunked"), "2\r\nab\r\n", "0\r\n\r\n"), Endpoint: readPieces, Hold: served("POST /a ababab")},
		{Name: "streams/an upload with a length, piece by piece", Section: section, Client: uploadPieces(request("POST /a", "Content-Length: 6"), "ab", ""), Endpoint: readPieces, Hold: served("POST /a ababab")},
		{Name: "streams/a head before any byte of the upload", Section: section, Client: func(c *Client) {
			c.Send(request("POST /a", "Content-Length: 3"))
			c.Hold("the endpoint does not get the head before the body", c.Wait())
			c.Send("abc")
			c.Read(1)
		}, Endpoint: func(x *Exchange) { x.Tell(); ok(x) }, Hold: served("POST /a abc")},
		{Name: "streams/the endpoint learns that the client is gone", Section: "9112 9.5", Client: func(c *Client) {
			c.Send(get)
			_, _ = c.Head()
			c.Reset()
			c.Hold("the endpoint's connection stays open", c.Wait())
		}, Endpoint: func(x *Exchange) {
			x.Write(response("200 OK", "3\r\nabc\r\n", "Transfer-Encoding: chunked"))
			gone(x)
		}, Hold: any},
		{Name: "streams/a head byte by byte from the endpoint", Section: "9112 2.2", Send: get, Endpoint: func(x *Exchange) {
			x.Body()
			for _, b := range []byte(response("200 OK", "3;x=y\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")) {
				x.Write(string(b))
			}
		}, Hold: all(statuses(200), gets(0, "abc"))},
		{Name: "streams/a body of eight mebibytes", Section: section, Send: get, Endpoint: answer(sized("200 OK", strings.Repeat("d", 8<<20))), Hold: all(statuses(200), gets(0, strings.Repeat("d", 8<<20)))},
		{Name: "streams/a body of eight mebibytes in chunks", Section: section, Send: get, Endpoint: answer(response("200 OK", strings.Repeat("10000\r\n"+strings.Repeat("d", 0x10000)+"\r\n", 128)+"0\r\n\r\n", "Transfer-Encoding: chunked")), Hold: all(statuses(200), gets(0, strings.Repeat("d", 8<<20)))},
	}
}

// gone tells the client when the gateway has closed the connection; until then it sends more.
func gone(x *Exchange) {
	for range 400 {
		if x.closed {
			x.Tell()
			return
		}
		x.Write("3\r\nabc\r\n")
		time.Sleep(5 * time.Millisecond) // paces what is sent, and waits for nothing
	}
}

func uploadPieces(head, piece, end string) func(*Client) {
	return func(c *Client) {
		c.Send(head)
		for range 3 {
			c.Send(piece)
			c.Hold("a piece does not arrive before the next", c.Wait())
		}
		c.Send(end)
		c.Read(1)
	}
}

func readPieces(x *Exchange) {
	var got strings.Builder
	b := make([]byte, 2)
	for range 3 {
		if _, err := io.ReadFull(x.Request.Body, b); err != nil {
			x.Close()
			return
		}
		got.Write(b)
		x.Tell()
	}
	_, _ = x.Body()
	x.Prepend(got.String())
	x.Write(sized("200 OK", "ok"))
}
