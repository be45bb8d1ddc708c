package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 10 * time.Second
	get      = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
)

func newPool(tb testing.TB, address string, c Config) *Pool {
	tb.Helper()
	c.Address = address
	p := New(c)
	tb.Cleanup(func() {
		p.Close()
		gatewaytest.Eventually(tb, "every connection is closed", func() bool { return p.Stats().Open == 0 })
	})
	return p
}

// exchange sends a GET and returns the body of the answer.
func exchange(p *Pool) (string, error) {
	c, err := p.Take(patience)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, get); err != nil {
		c.Abort()
		return "", err
	}
	c.Written()
	var h response.Head
	if err := c.ReadHead(&h, Asked{}); err != nil {
		c.Abort()
		return "", err
	}
	b, err := io.ReadAll(c)
	c.Release()
	return string(b), err
}

func mustTake(tb testing.TB, p *Pool) *Conn {
	tb.Helper()
	c, err := p.Take(patience)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestPool(t *testing.T) {
	t.Run("the connection used last is used first", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{})
		a, b := mustTake(t, p), mustTake(t, p)
		for _, c := range []*Conn{a, b} {
			c.written, c.done, c.keepAlive = true, true, true
			c.Release()
		}
		if c := mustTake(t, p); c != b || !c.Reused() {
			t.Error("got the older one; want the one released last")
		} else {
			c.Abort()
		}
		if s := p.Stats(); s.Open != 1 || s.Idle != 1 || s.Dials != 2 || s.Reuses != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a connection is not used again unless all was in order", func(t *testing.T) {
		for name, c := range map[string]struct {
			act    gatewaytest.Act
			reason Discard
		}{
			"asked to close":     {gatewaytest.Respond(200, "x", "Connection: close"), Closing},
			"HTTP/1.0":           {gatewaytest.Raw("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), Closing},
			"ends with its body": {gatewaytest.RawClose("HTTP/1.1 200 OK\r\n\r\nx"), Closing},
			"bytes too many":     {gatewaytest.Raw(gatewaytest.Answer(200, "x") + "y"), Poisoned},
			"body cut off":       {gatewaytest.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx"), Broken},
			"chunk malformed":    {gatewaytest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n?\r\n"), Broken},
		} {
			p := newPool(t, gatewaytest.NewEndpoint(t, c.act).Address(), Config{})
			_, _ = exchange(p)
			if s := p.Stats(); s.Open != 0 || s.Discarded[c.reason] != 1 {
				t.Errorf("%s: %+v; want it discarded as %s", name, s, c.reason)
			}
		}
	})
	t.Run("a request that was not written in full ends its connection", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{})
		c := mustTake(t, p)
		_, _ = io.WriteString(c, get)
		var h response.Head
		if err := c.ReadHead(&h, Asked{}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
		c.Release()
		if s := p.Stats(); s.Discarded[Broken] != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("an idle connection grows old and goes", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{MaxIdle: 20 * time.Millisecond})
		if _, err := exchange(p); err != nil {
			t.Fatal(err)
		}
		gatewaytest.Eventually(t, "it is closed", func() bool { s := p.Stats(); return s.Open == 0 && s.Discarded[Expired] == 1 })
	})
	t.Run("a closed pool still serves who holds it, and keeps nothing", func(t *testing.T) {
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{})
		c := mustTake(t, p)
		p.Close()
		c.Abort()
		if body, err := exchange(p); err != nil || body != "ok" {
			t.Errorf("got %q, %v", body, err)
		}
		if s := p.Stats(); s.Open != 0 || s.Discarded[Expired] != 1 {
			t.Errorf("%+v; want nothing open", s)
		}
	})
}

func TestPoolQueue(t *testing.T) {
	newFull := func(t *testing.T, c Config) (*Pool, *Conn) {
		c.MaxConns = 1
		p := newPool(t, gatewaytest.NewEndpoint(t).Address(), c)
		return p, mustTake(t, p)
	}
	exhausted := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, ErrPoolExhausted) || ClassOf(err) != policies.PoolExhausted {
			t.Errorf("got %v; want %v", err, ErrPoolExhausted)
		}
	}
	t.Run("nobody waits if there is no queue", func(t *testing.T) {
		p, c := newFull(t, Config{Queue: -1})
		_, err := p.Take(patience)
		exhausted(t, err)
		c.Abort()
	})
	t.Run("a bound that is raised holds at once", func(t *testing.T) {
		p, c := newFull(t, Config{Queue: -1})
		p.Configure(Config{Address: p.Address(), MaxConns: 2, Queue: -1})
		mustTake(t, p).Abort()
		c.Abort()
	})
	t.Run("who waits too long gets nothing", func(t *testing.T) {
		p, c := newFull(t, Config{QueueTimeout: 10 * time.Millisecond})
		_, err := p.Take(patience)
		exhausted(t, err)
		c.Abort()
		if s := p.Stats(); s.Waiting != 0 || s.Exhausted != 1 {
			t.Errorf("%+v", s)
		}
		if _, err := exchange(p); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("first come, first served", func(t *testing.T) {
		p, c := newFull(t, Config{QueueTimeout: patience})
		order := make(chan int, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				c, err := p.Take(patience)
				if err != nil {
					t.Error(err)
					return
				}
				order <- i // before the next one can have it
				c.written, c.done, c.keepAlive = true, true, true
				c.Release()
			})
			gatewaytest.Eventually(t, "one more waits", func() bool { return p.Stats().Waiting == i+1 })
		}
		c.written, c.done, c.keepAlive = true, true, true
		c.Release() // to the first; a closed one's slot goes on in the same way
		wg.Wait()
		for want := range 3 {
			if got := <-order; got != want {
				t.Errorf("request %d was served as number %d", got, want)
			}
		}
		if s := p.Stats(); s.Dials != 1 || s.Open != 1 {
			t.Errorf("%+v; want one connection for all", s)
		}
	})
	t.Run("a slot that is given up is dialled in by who waits", func(t *testing.T) {
		p, c := newFull(t, Config{QueueTimeout: patience})
		done := make(chan error, 1)
		go func() {
			_, err := exchange(p)
			done <- err
		}()
		gatewaytest.Eventually(t, "one waits", func() bool { return p.Stats().Waiting == 1 })
		c.Abort()
		if err := <-done; err != nil || p.Stats().Dials != 2 {
			t.Errorf("got %v, %+v", err, p.Stats())
		}
	})
}

func TestDialErrors(t *testing.T) {
	e := gatewaytest.NewEndpoint(t)
	e.Stop()
	for _, c := range []struct {
		address string
		class   policies.Class
	}{
		{e.Address(), policies.Refused},
		{"no-such-name.invalid:80", policies.Unresolvable},
	} {
		p := newPool(t, c.address, Config{})
		if _, err := p.Take(patience); ClassOf(err) != c.class || p.Stats().Open != 0 || p.Stats().Failed != 1 {
			t.Errorf("%s: got %v; want %s", c.address, err, c.class)
		}
	}
	for _, c := range []struct {
		err   error
		class policies.Class
	}{
		{&net.OpError{Err: syscall.EHOSTUNREACH}, policies.Refused},
		{&net.OpError{Err: syscall.ETIMEDOUT}, policies.ConnectTimeout},
		{&net.OpError{Err: os.NewSyscallError("socket", syscall.EMFILE)}, policies.PoolExhausted},
		{&net.OpError{Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}, policies.PoolExhausted},
		{fmt.Errorf("dial: %w", &net.DNSError{}), policies.Unresolvable},
	} {
		if got := dialClass(c.err); got != c.class {
			t.Errorf("%v: got %s; want %s", c.err, got, c.class)
		}
	}
	t.Run("a full backlog is a connect timeout", func(t *testing.T) {
		address := backlogged(t)
		p := newPool(t, address, Config{ConnectTimeout: 50 * time.Millisecond})
		if _, err := p.Take(patience); ClassOf(err) != policies.ConnectTimeout {
			t.Errorf("got %v; want %s", err, policies.ConnectTimeout)
		}
	})
}

// backlogged returns an address whose queue of connections is full, so that the kernel drops further ones.
func backlogged(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

func TestReadErrors(t *testing.T) {
	long := strings.Repeat("a", readBuffer)
	for _, c := range []struct {
		name  string
		act   gatewaytest.Act
		class policies.Class
	}{
		{"closed before the head", gatewaytest.RawClose(""), policies.Reset},
		{"reset within the head", gatewaytest.RawReset("HTTP/1.1 2"), policies.Reset},
		{"closed within the head", gatewaytest.RawClose("HTTP/1.1 200 OK\r\nA: "), policies.Reset},
		{"silence", gatewaytest.Hang(), policies.HeaderTimeout},
		{"silence within the head", gatewaytest.Then(gatewaytest.Raw("HTTP/1.1 200 OK\r\nA"), gatewaytest.Hang()), policies.HeaderTimeout},
		{"another protocol", gatewaytest.Raw("220 mail ESMTP\r\n\r\n"), policies.Malformed},
		{"a status of two digits", gatewaytest.Raw("HTTP/1.1 99 No\r\n\r\n"), policies.Malformed},
		{"a status below 100", gatewaytest.Raw("HTTP/1.1 042 No\r\n\r\n"), policies.Malformed},
		{"lengths that differ", gatewaytest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), policies.Malformed},
		{"a coding unknown", gatewaytest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx"), policies.Malformed},
		{"a head too long", gatewaytest.Raw("HTTP/1.1 200 OK\r\nA: " + long + "\r\n\r\n"), policies.Malformed},
		{"interim responses without end", gatewaytest.Raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInterim+1)), policies.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, gatewaytest.NewEndpoint(t, c.act).Address(), Config{})
			conn, err := p.Take(100 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, get)
			conn.Written()
			var h response.Head
			if err := conn.ReadHead(&h, Asked{}); ClassOf(err) != c.class {
				t.Errorf("got %v; want %s", err, c.class)
			}
			if !conn.Sent() {
				t.Error("Sent is false after a request was written")
			}
			conn.Abort()
		})
	}
}

// Many goroutines at a pool too small for them: everyone gets their own answer, and in the end nothing is in use.
func TestPoolHammer(t *testing.T) {
	var n atomic.Int64
	e := gatewaytest.NewEndpoint(t, func(x *gatewaytest.Exchange) {
		fields := []string{}
		if n.Add(1)%7 == 0 {
			fields = append(fields, "Connection: close")
			x.Close()
		}
		_ = x.ReadBody()
		x.Send(gatewaytest.Answer(200, x.Request.Target, fields...))
	})
	p := newPool(t, e.Address(), Config{MaxConns: 4, QueueTimeout: patience})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 100 {
				target := fmt.Sprintf("/%d/%d", g, i)
				c, err := p.Take(patience)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
				c.Written()
				var h response.Head
				if err == nil {
					err = c.ReadHead(&h, Asked{})
				}
				if err != nil {
					if c.Reused() && !c.Answered() { // closed in the moment of its reuse
						c.Abort()
						continue
					}
					t.Error(err)
				}
				if b, err := io.ReadAll(c); err != nil || string(b) != target {
					t.Errorf("got %q, %v; want %q", b, err, target)
				}
				c.Release()
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Open != s.Idle || s.Open > 4 || s.Waiting != 0 {
		t.Errorf("%+v; want nothing in use and at most 4 open", s)
	}
}

func TestCoarseDeadline(t *testing.T) {
	const second = int64(time.Second)
	for _, c := range []struct {
		left int64
		fits bool
	}{{second - 1, false}, {second, true}, {second * 33 / 32, true}, {second*33/32 + 1, false}, {-1, false}} {
		if got := fits(5*second+c.left, 5*second, time.Second); got != c.fits {
			t.Errorf("a deadline %v ahead for 1s: fits is %v; want %v", time.Duration(c.left), got, c.fits)
		}
	}
}

func TestReuseAllocatesNothing(t *testing.T) {
	p := newPool(t, gatewaytest.NewEndpoint(t).Address(), Config{})
	if _, err := exchange(p); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() {
		c, err := p.Take(patience)
		if err != nil || !c.Reused() {
			t.Fatal("not reused", err)
		}
		c.written, c.done, c.keepAlive = true, true, true
		c.Release()
	}); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

func BenchmarkTakeRelease(b *testing.B) {
	p := newPool(b, gatewaytest.NewEndpoint(b).Address(), Config{})
	if _, err := exchange(p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := p.Take(patience)
		if err != nil {
			b.Fatal(err)
		}
		c.written, c.done, c.keepAlive = true, true, true
		c.Release()
	}
}
