package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// call is one request of HTTP/2. It is written and read as a connection of HTTP/1.1 would be.
type call struct {
	c      *Conn
	on     *shared
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends it

	left    int64                         // of a body whose length was said; -1 if it comes in chunks
	pipe    *io.PipeWriter                // of a body that does not come at once
	sending atomic.Pointer[io.PipeReader] // the other end of it
	trailer http.Header                   // that ends it
	begun   bool

	interim  chan *response.Head
	answered chan struct{}
	resp     *http.Response
	err      error
	wrote    atomic.Bool // the head may have reached the endpoint
}

var errTimeUp = errors.New("time is up")

// take returns a connection for one request of HTTP/2.
func (p *Pool) takeCall(ctx context.Context, d time.Duration) (*Conn, error) {
	by, stop := context.WithTimeout(ctx, d)
	defer stop()
	began := now()
	on, err := p.reserve(by)
	if err != nil {
		p.slotFreed(nil)
		return nil, err
	}
	k := &call{on: on, interim: make(chan *response.Head, maxInterim+1), answered: make(chan struct{})}
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	k.timer = time.AfterFunc(d-time.Duration(now()-began), func() { k.giveUp(errTimeUp) })
	c := &Conn{pool: p, call: k, reused: on.used.Swap(true)}
	if c.reused {
		p.reuses.Add(1)
	}
	k.c = c
	p.mu.Lock()
	p.link(c)
	p.mu.Unlock()
	return c, nil
}

// write takes a piece of a request as HTTP/1.1 has it: the head, and of the body whole chunks.
func (k *call) write(p []byte) (int, error) {
	var err error
	if !k.begun {
		end := bytes.Index(p, headEnd) + len(headEnd)
		err = k.begin(p[:end], p[end:])
	} else if k.pipe != nil {
		err = k.pass(p)
	}
	if err == nil {
		return len(p), nil
	}
	<-k.answered // nobody reads the body any more
	if k.err == nil {
		k.pipe = nil // the answer came without it
		return len(p), nil
	}
	return 0, k.failure(k.err, policies.HeaderTimeout)
}

// begin sends the request. rest is what there is of its body.
func (k *call) begin(head, rest []byte) error {
	k.begun = true
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		k.err = &Error{Class: policies.Malformed, Err: err} // ours was wrong
		close(k.answered)
		return err
	}
	r.URL.Scheme, r.URL.Host = "http", k.c.pool.address
	if k.on.secured != nil {
		r.URL.Scheme = "https"
	}
	if target := r.RequestURI; target[0] == '/' && !strings.HasPrefix(target, "//") {
		r.URL.Opaque, r.URL.RawQuery, r.URL.ForceQuery = target, "", false // as it is, byte for byte
	}
	r.RequestURI = ""
	for _, name := range []string{"Connection", "Upgrade", "Content-Length", "Transfer-Encoding"} {
		r.Header.Del(name)
	}
	if r.Header.Get("Expect") != "" { // the windows of HTTP/2 say when a body is wanted
		r.Header.Del("Expect")
		h := new(response.Head)
		fill(h, http.StatusContinue, nil)
		k.interim <- h
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = nil // none of the engine's
	}
	r.Body, k.left = http.NoBody, r.ContentLength
	switch {
	case k.left > 0 && int64(len(rest)) == k.left:
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(rest)))
	case k.left != 0:
		var body *io.PipeReader
		body, k.pipe = io.Pipe()
		k.sending.Store(body)
		r.Body = body
		if k.left < 0 {
			if k.trailer = (http.Header{}); r.Trailer == nil {
				r.Trailer = http.Header{}
			}
			r.Body = &ended{body, r.Trailer, k.trailer}
		}
	}
	r = r.WithContext(httptrace.WithClientTrace(k.ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, fields textproto.MIMEHeader) error {
			h := new(response.Head)
			fill(h, code, http.Header(fields))
			select {
			case k.interim <- h:
				return nil
			default:
				return errInterim
			}
		},
	}))
	k.wrote.Store(true) // at any time from now on
	go k.run(r)
	if k.pipe != nil && len(rest) > 0 {
		return k.pass(rest)
	}
	return nil
}

// run makes the request, and gives the head of its response.
func (k *call) run(r *http.Request) {
	defer close(k.answered)
	k.resp, k.err = k.on.RoundTrip(r)
}

// ended is a body with trailers, which the engine looks at when it has read the end.
type ended struct {
	*io.PipeReader
	to, from http.Header // from is complete at the end
}

// Read implements io.Reader.
func (e *ended) Read(p []byte) (int, error) {
	n, err := e.PipeReader.Read(p)
	if err == io.EOF {
		maps.Copy(e.to, e.from)
	}
	return n, err
}

// pass passes on a piece of the body, without its chunks' sizes.
func (k *call) pass(p []byte) error {
	if k.left >= 0 {
		k.left -= int64(len(p))
		_, err := k.pipe.Write(p)
		if k.left == 0 && err == nil {
			err = k.pipe.Close()
		}
		return err
	}
	for len(p) > 0 {
		line, rest, _ := bytes.Cut(p, crlf)
		n, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil {
			return err
		}
		if n == 0 {
			for field := range bytes.SplitSeq(rest, crlf) {
				if name, value, ok := bytes.Cut(field, []byte{':'}); ok {
					k.trailer.Add(string(name), string(bytes.TrimSpace(value)))
				}
			}
			return k.pipe.Close()
		}
		if _, err := k.pipe.Write(rest[:n]); err != nil {
			return err
		}
		p = rest[n+int64(len(crlf)):]
	}
	return nil
}

var (
	crlf    = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
)

// readHead is [Conn.ReadHead].
func (k *call) readHead(h *response.Head, q Asked) error {
	for {
		select {
		case early := <-k.interim:
			if q.Interim != nil {
				q.Interim.Interim(early)
			}
			continue
		case <-k.answered:
		}
		break
	}
	for len(k.interim) > 0 {
		if early := <-k.interim; q.Interim != nil {
			q.Interim.Interim(early)
		}
	}
	if k.err != nil {
		return k.failure(k.err, policies.HeaderTimeout)
	}
	k.timer.Stop()
	k.c.got = true
	fill(h, k.resp.StatusCode, k.resp.Header)
	k.c.framing, k.c.left = untilClose, k.resp.ContentLength
	over := k.resp.ContentLength == 0 && k.resp.Header["Content-Length"] == nil // the head was all
	if s := k.resp.StatusCode; q.Head || s == http.StatusNoContent || s == http.StatusNotModified || over {
		k.c.framing, k.c.done = noBody, true
	}
	return nil
}

// fill makes h a response with those fields.
func fill(h *response.Head, status int, fields http.Header) {
	h.Reset(status)
	for name, values := range fields {
		for _, v := range values {
			h.Add(name, []byte(v))
		}
	}
}

// read is [Conn.Read].
func (k *call) read(p []byte) (int, error) {
	n, err := k.resp.Body.Read(p)
	k.timer.Stop() // a slow client is not the endpoint's fault
	if err == io.EOF {
		k.c.done = true
		return n, io.EOF
	}
	if err != nil {
		err = k.failure(err, policies.BodyTimeout)
	}
	return n, err
}

// trailerSection is [Conn.Trailer].
func (k *call) trailerSection() []byte {
	var b []byte
	for name, values := range k.resp.Trailer {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), crlf...)
		}
	}
	return b
}

// refusal is an error of a stream that the endpoint has not looked at (RFC 9113, section 8.7). net/http's own has these fields.
type refusal struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (refusal) Error() string { return "stream error" }

const refusedStream = 0x7

// What net/http's engine says of a request that it has not sent, or that the endpoint has said it will not look at: its stream
// is above the last of a GOAWAY (RFC 9113, section 6.8).
const (
	saidGoAway   = "http2: Transport received Server's graceful shutdown GOAWAY"
	saidUnusable = "http2: client conn not usable"
	saidUnmade   = "http2: client conn could not be established"
)

// failure gives an error its class. late is that of a time that is up.
func (k *call) failure(err error, late policies.Class) error {
	var e *Error
	var r refusal
	var alert tls.AlertError
	switch {
	case errors.As(err, &e):
		return e
	case context.Cause(k.ctx) == errTimeUp:
		return &Error{Class: late, Err: errTimeUp}
	case errors.As(err, &r) && r.Code == refusedStream:
		k.wrote.Store(false)
		k.c.reused = false // another endpoint may have room
	case errors.As(err, &alert):
		return &Error{Class: policies.TLSFailed, Err: err}
	}
	switch err.Error() {
	case saidGoAway, saidUnusable, saidUnmade:
		k.wrote.Store(false)
	}
	return &Error{Class: policies.Reset, Err: err}
}

// interrupt makes reads and writes fail.
func (k *call) interrupt() { k.giveUp(context.Canceled) }

// giveUp makes the engine give the stream up. As long as it waits for more of a body it does not look at the context.
func (k *call) giveUp(cause error) {
	k.cancel(cause)
	if b := k.sending.Load(); b != nil {
		_ = b.Close()
	}
}

// end gives the stream up, or forgets it if it is over.
func (k *call) end() {
	k.timer.Stop()
	k.cancel(context.Canceled)
	if k.pipe != nil {
		_ = k.pipe.CloseWithError(io.ErrClosedPipe)
	}
	if !k.begun {
		k.on.Release()
	} else if <-k.answered; k.resp != nil {
		_ = k.resp.Body.Close()
	}
}
