package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

// maxProbeAnswer bounds the head of an answer, and what is read of its body.
const maxProbeAnswer = 64 << 10

var probeReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// request is what is asked for at the endpoint at address.
func (p Probe) request(ctx context.Context, address string) (*http.Request, error) {
	scheme := "http://"
	if p.TLS != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+address+p.Path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Host = p.Host
	req.Header.Set("User-Agent", "weir-probe")
	return req, nil
}

// http1 gives the check of the endpoint at address by HTTP/1.1, each on a connection of its own. http.Transport would cost
// three goroutines a check.
func (p Probe) http1(ctx context.Context, address string) func(ctx context.Context, address string) error {
	var head bytes.Buffer
	req, err := p.request(ctx, address)
	if err == nil {
		req.Close = true
		err = req.Write(&head)
	}
	if err != nil {
		return func(context.Context, string) error { return err }
	}
	connect := p.connect
	if p.TLS != nil {
		secure := p.secure(address)
		connect = func(ctx context.Context, address string) (socket.Brief, error) { return secure(ctx, "tcp", address) }
	}
	return func(ctx context.Context, address string) error {
		conn, err := connect(ctx, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		if err := p.exchange(conn, head.Bytes(), req); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		return nil
	}
}

// connect makes a connection of our own to an endpoint, without TLS, in the cheapest way that will do.
func (p Probe) connect(ctx context.Context, address string) (socket.Brief, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil || a.Addr().Zone() != "" || p.ProxyProtocol != 0 {
		return p.dial(ctx, "tcp", address)
	}
	c, err := socket.Dial(ctx, a)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: err}
	}
	return c, nil
}

// exchange sends a request and judges the answer.
func (p Probe) exchange(conn io.ReadWriter, head []byte, req *http.Request) error {
	if _, err := conn.Write(head); err != nil {
		return err
	}
	r := probeReaders.Get().(*bufio.Reader)
	defer func() { r.Reset(nil); probeReaders.Put(r) }()
	limited := io.LimitedReader{R: conn, N: maxProbeAnswer}
	r.Reset(&limited)
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			if limited.N <= 0 {
				return fmt.Errorf("a head of more than %d bytes", maxProbeAnswer)
			}
			return err
		}
		if resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		limited.N += maxProbeAnswer
		return p.judge(resp)
	}
}

// judge says what is wrong with an answer.
func (p Probe) judge(resp *http.Response) error {
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxProbeAnswer/2); err != nil && err != io.EOF {
		return err
	}
	if len(p.Statuses) > 0 && slices.Contains(p.Statuses, resp.StatusCode) ||
		len(p.Statuses) == 0 && resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return nil
	}
	want := "200..399"
	if len(p.Statuses) > 0 {
		want = fmt.Sprint(p.Statuses)
	}
	return fmt.Errorf("status %d, want %s", resp.StatusCode, want)
}
