package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/socket"
	"github.com/weir-lb/weir/policies"
)

// engine is the client of HTTP/2, that of net/http. Requests share its connections, each on a stream of its own.
func (p *Pool) newEngine() *http.Transport {
	limits := p.limits.Load()
	t := &http.Transport{
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		IdleConnTimeout:    limits.MaxIdle,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: 10 * time.Second},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return p.connect(ctx, network)
		},
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return p.connect(ctx, network)
		},
	}
	if limits.TLS == nil {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP2(true)
	}
	return t
}

// connect makes a connection for HTTP/2.
func (p *Pool) connect(ctx context.Context, network string) (net.Conn, error) {
	p.dials.Add(1)
	ctx, cancel := context.WithTimeout(ctx, p.limits.Load().ConnectTimeout)
	defer cancel()
	c, err := p.dialer.DialContext(ctx, network, p.address)
	if err != nil {
		p.failed.Add(1)
		return nil, &Error{Class: dialClass(err), Err: err}
	}
	config := p.tlsConfig()
	if config == nil {
		return c, nil
	}
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	s, err := secure(ctx, socket.New(c.(*net.TCPConn)), config)
	if err == nil && s.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
		err = &Error{Class: policies.TLSFailed, Err: errNotHTTP2}
	}
	if err != nil {
		_ = c.Close()
		p.failed.Add(1)
		return nil, err
	}
	return s, nil
}

var errNotHTTP2 = errors.New("the endpoint does not speak HTTP/2")

// call is one request of HTTP/2. It is written and read as a connection of HTTP/1.1 would be.
type call struct {
	c      *Conn
	engine *http.Transport
	scheme string
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends it

	left  int64          // of a body whose length was said; -1 if it comes in chunks
	pipe  *io.PipeWriter // of a body that does not come at once
	begun bool

	interim  chan *fasthttp.ResponseHeader
	answered chan struct{}
	resp     *http.Response
	err      error
	wrote    atomic.Bool // the head may have reached the endpoint
}

var errTimeUp = errors.New("time is up")

// newCall returns a connection for one request of HTTP/2.
func (p *Pool) newCall(d time.Duration) *Conn {
	limits := p.limits.Load()
	k := &call{engine: p.engine.Load(), scheme: "http", interim: make(chan *fasthttp.ResponseHeader, maxInterim+1), answered: make(chan struct{})}
	if limits.TLS != nil {
		k.scheme = "https"
	}
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	k.timer = time.AfterFunc(d, func() { k.cancel(errTimeUp) })
	c := &Conn{pool: p, call: k}
	k.c = c
	return c
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
	r.URL.Scheme, r.URL.Host = k.scheme, k.c.pool.address
	if target := r.RequestURI; target[0] == '/' && !strings.HasPrefix(target, "//") {
		r.URL.Opaque, r.URL.RawQuery, r.URL.ForceQuery = target, "", false // as it is, byte for byte
	}
	r.RequestURI = ""
	for _, name := range []string{"Connection", "Upgrade", "Content-Length", "Transfer-Encoding"} {
		r.Header.Del(name)
	}
	if r.Header.Get("Expect") != "" { // the windows of HTTP/2 say when a body is wanted
		r.Header.Del("Expect")
		h := new(fasthttp.ResponseHeader)
		fill(h, fasthttp.StatusContinue, nil)
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
		r.Body = body
	}
	r = r.WithContext(httptrace.WithClientTrace(k.ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, fields textproto.MIMEHeader) error {
			h := new(fasthttp.ResponseHeader)
			fill(h, code, http.Header(fields))
			select {
			case k.interim <- h:
				return nil
			default:
				return errInterim
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			k.wrote.Store(true) // at any time from now on
			if info.Reused {
				k.c.pool.reuses.Add(1)
			}
		},
	}))
	go k.run(r)
	if k.pipe != nil && len(rest) > 0 {
		return k.pass(rest)
	}
	return nil
}

// run makes the request, and gives the head of its response.
func (k *call) run(r *http.Request) {
	defer close(k.answered)
	k.resp, k.err = k.engine.RoundTrip(r)
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
			return k.pipe.Close() // the engine sends no trailers that were not announced
		}
		if _, err := k.pipe.Write(rest[:n]); err != nil {
			return err
		}
		p = rest[n+int64(len(crlf)):]
	}
	return nil
}

var crlf = []byte("\r\n")

// readHead is [Conn.ReadHead].
func (k *call) readHead(h *fasthttp.ResponseHeader, q Asked) error {
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
	if s := k.resp.StatusCode; q.Head || s == http.StatusNoContent || s == http.StatusNotModified || k.resp.Body == http.NoBody {
		k.c.framing, k.c.done = noBody, true
	}
	if n := k.resp.ContentLength; n >= 0 && k.resp.Header["Content-Length"] == nil && !k.c.done {
		h.SetContentLength(int(n))
	}
	return nil
}

// fill makes h a response with those fields.
func fill(h *fasthttp.ResponseHeader, status int, fields http.Header) {
	h.Reset()
	h.SetNoDefaultContentType(true)
	h.SetStatusCode(status)
	for name, values := range fields {
		for _, v := range values {
			h.Add(name, v)
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

// failure gives an error its class. late is that of a time that is up.
func (k *call) failure(err error, late policies.Class) error {
	var e *Error
	var r refusal
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &e):
		return e
	case context.Cause(k.ctx) == errTimeUp:
		return &Error{Class: late, Err: errTimeUp}
	case errors.As(err, &r) && r.Code == refusedStream:
		k.wrote.Store(false)
		return &Error{Class: policies.Reset, Err: err}
	case errors.As(err, &record), errors.As(err, &certificate), errors.As(err, &alert):
		return &Error{Class: policies.TLSFailed, Err: err}
	}
	return &Error{Class: policies.Reset, Err: err}
}

// end gives the stream up, or forgets it if it is over.
func (k *call) end() {
	k.timer.Stop()
	k.cancel(context.Canceled)
	if k.pipe != nil {
		_ = k.pipe.CloseWithError(io.ErrClosedPipe)
	}
	if k.begun {
		<-k.answered
		if k.resp != nil {
			_ = k.resp.Body.Close()
		}
	}
}
