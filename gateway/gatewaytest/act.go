package gatewaytest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Act is what an endpoint does with one request.
type Act func(x *Exchange)

// Answer returns the bytes of a response with a Content-Length.
func Answer(status int, body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), lines(fields), len(body), body)
}

// lines ends every field with CRLF.
func lines(fields []string) string { return strings.Join(append(slices.Clip(fields), ""), "\r\n") }

// Respond reads the request and answers it.
func Respond(status int, body string, fields ...string) Act {
	return Raw(Answer(status, body, fields...))
}

// Echo answers with the request's body.
func Echo() Act {
	return func(x *Exchange) {
		if x.ReadBody() == nil {
			x.Send(Answer(http.StatusOK, x.Request.Body))
		}
	}
}

// Raw reads the request and answers with these bytes. The connection stays open.
func Raw(response string) Act {
	return func(x *Exchange) {
		if x.ReadBody() != nil {
			x.Close()
			return
		}
		x.Send(response)
	}
}

// RawClose reads the request, answers with these bytes and closes in good order: a truncation, or a body that ends
// with its connection.
func RawClose(response string) Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		x.Send(response)
		x.Close()
	}
}

// RawReset reads the request, answers with these bytes and resets the connection.
func RawReset(response string) Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		x.Send(response)
		x.Reset()
	}
}

// Early answers before the request's body is read, and then closes.
func Early(response string) Act {
	return func(x *Exchange) {
		x.Send(response)
		x.Close()
	}
}

// Hang reads the request and never answers.
func Hang() Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		x.wait(nil)
		x.Close()
	}
}

// Slow answers after d.
func Slow(d time.Duration, status int, body string) Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		x.wait(time.After(d))
		x.Send(Answer(status, body))
	}
}

// Trickle reads the request and sends one part each time the gate lets it, then leaves the connection open.
func Trickle(gate <-chan struct{}, parts ...string) Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		for _, p := range parts {
			select {
			case <-gate:
				x.Send(p)
			case <-x.Stopped:
				x.Close()
				return
			}
		}
	}
}

// Pour answers with n bytes of content, in one body with a Content-Length or in chunks.
func Pour(n int64, chunked bool) Act {
	return func(x *Exchange) {
		_ = x.ReadBody()
		block := make([]byte, 64<<10)
		if chunked {
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		} else {
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n))
		}
		for left := n; left > 0; {
			b := block[:min(left, int64(len(block)))]
			if chunked {
				x.Send(fmt.Sprintf("%x\r\n", len(b)))
			}
			if _, err := x.Conn.Write(b); err != nil {
				x.Close()
				return
			}
			if chunked {
				x.Send("\r\n")
			}
			left -= int64(len(b))
		}
		if chunked {
			x.Send("0\r\n\r\n")
		}
	}
}

// Sink reads the request's body without keeping it and answers with its length.
func Sink() Act {
	return func(x *Exchange) {
		n, err := x.DiscardBody()
		if err != nil {
			x.Close()
			return
		}
		x.Send(Answer(http.StatusOK, fmt.Sprint(n)))
	}
}

// Then does one act after the other with the same request.
func Then(acts ...Act) Act {
	return func(x *Exchange) {
		for _, a := range acts {
			a(x)
		}
	}
}

// wait blocks until ch gives something, the endpoint stops, or the gateway closes the connection.
func (x *Exchange) wait(ch <-chan time.Time) {
	closed := make(chan struct{})
	go func() {
		_, _ = io.CopyN(io.Discard, x.Conn, 1)
		close(closed)
	}()
	if ch != nil {
		select {
		case <-ch:
		case <-closed:
		case <-x.Stopped:
		}
		_ = x.Conn.SetReadDeadline(time.Unix(1, 0))
		<-closed
		_ = x.Conn.SetReadDeadline(time.Time{})
		return
	}
	select {
	case <-closed:
	case <-x.Stopped:
		_ = x.Conn.Close()
		<-closed
	}
}
