package socket_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// pair returns a connection of this package, and its peer as usual.
func pair(t testing.TB) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	c, peer := tcpPair(t)
	return socket.New(c), peer
}

// tcpPair returns both ends of a connection.
func tcpPair(t testing.TB) (c, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	one, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, peer = one.(*net.TCPConn), other.(*net.TCPConn)
	t.Cleanup(func() {
		_ = c.Close()
		_ = peer.Close()
	})
	_ = c.SetDeadline(time.Now().Add(patience))
	_ = peer.SetDeadline(time.Now().Add(patience))
	return c, peer
}

func write(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(c, text); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
}

// settled waits until what the peer did is there to be seen.
func settled(t testing.TB, c *socket.Conn, want socket.State) {
	t.Helper()
	for begin := time.Now(); c.Look() != want; time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("state %d, want %d", c.Look(), want)
		}
	}
}

func TestReadAndWrite(t *testing.T) {
	t.Run("a read brings what is there, and waits for it", func(t *testing.T) {
		c, peer := pair(t)
		write(t, peer, "abcde")
		buf := make([]byte, 4)
		for _, want := range []string{"abcd", "e"} {
			if n, err := c.Read(buf); string(buf[:n]) != want || err != nil {
				t.Errorf("%q, %v, want %q", buf[:n], err, want)
			}
		}
		go func() { _, _ = io.WriteString(peer, "later") }()
		if n, err := io.ReadFull(c, buf); string(buf[:n]) != "late" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
	})
	t.Run("nothing is read into nothing, and nothing is written of it", func(t *testing.T) {
		c, peer := pair(t)
		write(t, peer, "a")
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
	t.Run("the end is io.EOF, again and again", func(t *testing.T) {
		c, peer := pair(t)
		write(t, peer, "a")
		_ = peer.CloseWrite()
		if b, err := io.ReadAll(c); string(b) != "a" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
	})
	t.Run("a write that does not fit goes out as it is read", func(t *testing.T) {
		c, peer := pair(t)
		sent := random(32 << 20)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := c.Write(sent); n != len(sent) || err != nil {
				t.Error(n, err)
			}
			_ = c.CloseWrite()
		})
		got, err := io.ReadAll(peer)
		wg.Wait()
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("deadlines hold, and can be set while it waits", func(t *testing.T) {
		c, _ := pair(t)
		_ = c.SetDeadline(time.Unix(1, 0))
		timed := func(_ int, err error) {
			t.Helper()
			var ne net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%v, want a timeout", err)
			}
		}
		timed(c.Read(make([]byte, 1)))
		timed(c.Write([]byte("a")))
		timed(c.Ask([]byte("a")))
		_ = c.SetDeadline(time.Time{})
		time.AfterFunc(10*time.Millisecond, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		timed(c.Read(make([]byte, 1)))
		time.AfterFunc(10*time.Millisecond, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
		timed(c.Write(make([]byte, 64<<20)))
	})
	t.Run("a reset is told as one, with the operation and both addresses", func(t *testing.T) {
		c, peer := pair(t)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		settled(t, c, socket.Gone)
		_, err := c.Write(make([]byte, 1))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "write" || op.Source == nil || op.Addr == nil || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
		for name, see := range map[string]func(*socket.Conn){
			"looked at":  func(c *socket.Conn) { settled(t, c, socket.Gone) },
			"waited for": func(c *socket.Conn) { _ = c.Await() },
		} {
			c, peer := pair(t)
			_ = peer.SetLinger(0)
			_ = peer.Close()
			see(c)
			see(c)
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s before: %d, %v", name, n, err)
			}
		}
		c, peer = pair(t)
		time.AfterFunc(10*time.Millisecond, func() {
			_ = peer.SetLinger(0)
			_ = peer.Close()
		})
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &op) || op.Op != "read" || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a connection that is closed says so", func(t *testing.T) {
		c, _ := pair(t)
		_ = c.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if c.Look() != socket.Gone {
			t.Error("it looks alive")
		}
	})
}

func TestAsk(t *testing.T) {
	t.Run("the answer is read, however fast or slow it comes", func(t *testing.T) {
		c, peer := pair(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			buf := make([]byte, 4)
			for i := range 2000 {
				if _, err := io.ReadFull(peer, buf); err != nil {
					t.Error(err)
					return
				}
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
				_, _ = peer.Write(buf)
			}
		})
		buf := make([]byte, 8)
		for i := range 2000 {
			if n, err := c.Ask([]byte("ping")); n != 4 || err != nil {
				t.Fatal(i, n, err)
			}
			if n, err := c.Read(buf); string(buf[:n]) != "ping" || err != nil {
				t.Fatalf("round %d: got %q, %v", i, buf[:n], err)
			}
		}
		wg.Wait()
	})
	t.Run("more than the socket takes is sent", func(t *testing.T) {
		c, peer := pair(t)
		question := random(16 << 20)
		var wg sync.WaitGroup
		wg.Go(func() {
			got := make([]byte, len(question))
			if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, question) {
				t.Error(err)
			}
			_, _ = io.WriteString(peer, "yes")
		})
		buf := make([]byte, 8)
		if n, err := c.Ask(question); n != len(question) || err != nil {
			t.Error(n, err)
		}
		if n, err := c.Read(buf); string(buf[:n]) != "yes" || err != nil {
			t.Errorf("got %q, %v", buf[:n], err)
		}
		wg.Wait()
	})
	t.Run("to a peer that is gone nothing is sent, and that is told", func(t *testing.T) {
		c, peer := pair(t)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		settled(t, c, socket.Gone)
		if n, err := c.Ask([]byte("a")); n != 0 || err == nil {
			t.Error(n, err)
		}
	})
	t.Run("to one that closes then it was sent", func(t *testing.T) {
		c, peer := pair(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.ReadFull(peer, make([]byte, 1))
			_ = peer.Close()
		})
		if n, err := c.Ask([]byte("a")); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
		wg.Wait()
	})
}

func TestLookAndAwait(t *testing.T) {
	c, peer := pair(t)
	if s := c.Look(); s != socket.Quiet {
		t.Errorf("state %d", s)
	}
	go func() { _, _ = io.WriteString(peer, "a") }()
	if err := c.Await(); err != nil {
		t.Fatal(err)
	}
	settled(t, c, socket.Readable)
	if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(n, err)
	}
	_ = peer.Close()
	settled(t, c, socket.Gone)
	if err := c.Await(); err != nil {
		t.Errorf("the end is worth a read: %v", err)
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if err := c.Await(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestHammer sends the same through this package and as usual, both ways at once, in pieces of any size, to a peer that is
// fast and slow by turns.
func TestHammer(t *testing.T) {
	for range 4 {
		c, peer := pair(t)
		out, back := random(4<<20), random(4<<20)
		var wg sync.WaitGroup
		send := func(to net.Conn, b []byte) {
			for len(b) > 0 {
				n := min(len(b), 1+rand.N(1<<rand.N(18)))
				if m, err := to.Write(b[:n]); m != n || err != nil {
					t.Error(m, err)
					return
				}
				if b = b[n:]; rand.N(64) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			_ = to.(interface{ CloseWrite() error }).CloseWrite()
		}
		check := func(from net.Conn, want []byte) {
			var got []byte
			for buf := make([]byte, 1<<18); ; {
				n, err := from.Read(buf[:1+rand.N(len(buf)-1)])
				if got = append(got, buf[:n]...); err == io.EOF {
					break
				} else if err != nil {
					t.Error(err)
					return
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes that are not the %d that were sent", len(got), len(want))
			}
		}
		wg.Go(func() { send(c, out) })
		wg.Go(func() { send(peer, back) })
		wg.Go(func() { check(c, back) })
		wg.Go(func() { check(peer, out) })
		wg.Wait()
	}
}

func TestNothingIsAllocated(t *testing.T) {
	c, peer := pair(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.Close()
	wg.Go(func() { // an echo
		for buf := make([]byte, 16); ; {
			n, err := peer.Read(buf)
			if err != nil {
				return
			}
			_, _ = peer.Write(buf[:n])
		}
	})
	buf, text := make([]byte, 16), []byte("ping")
	if n := testing.AllocsPerRun(100, func() {
		_, err := c.Write(text)
		if err == nil {
			_, err = c.Read(buf)
		}
		if err == nil && c.Look() == socket.Quiet {
			_, err = c.Ask(text)
		}
		if err == nil {
			_, err = c.Read(buf)
		}
		if err == nil {
			_, err = c.Write(text)
		}
		if err == nil {
			err = c.Await()
		}
		if err == nil {
			_, err = c.Read(buf)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a round", n)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
