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

	"github.com/weir-lb/weir/gateway/internal/socket"
)

func openPipe(t *testing.T) *socket.Pipe {
	t.Helper()
	p, err := socket.OpenPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Free)
	return p
}

func TestPipePassesAllThatComes(t *testing.T) {
	from, sender := pair(t)
	to, reader := pair(t)
	want := random(8 << 20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := want; len(b) > 0; {
			n := min(len(b), 1+rand.N(1<<rand.N(20)))
			if _, err := sender.Write(b[:n]); err != nil {
				t.Error(err)
				return
			}
			if b = b[n:]; rand.N(16) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		_ = sender.CloseWrite()
	})
	var got []byte
	wg.Go(func() {
		for buf := make([]byte, 1<<18); ; {
			n, err := reader.Read(buf[:1+rand.N(len(buf)-1)])
			if got = append(got, buf[:n]...); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
		}
	})
	p := openPipe(t)
	for total := 0; ; {
		n, err := p.Fill(from, 1+rand.N(1<<20))
		if total += n; err == io.EOF {
			if n != 0 || total != len(want) {
				t.Errorf("the end with %d bytes, after %d in all; want 0, %d", n, total, len(want))
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Drain(to); err != nil {
			t.Fatal(err)
		}
	}
	_ = to.CloseWrite()
	wg.Wait()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not the %d that were sent", len(got), len(want))
	}
}

func TestPipeTakesNoMoreThanItIsAskedFor(t *testing.T) {
	from, sender := pair(t)
	to, reader := pair(t)
	p := openPipe(t)
	write(t, sender, "body and more")
	if n, err := p.Fill(from, 4); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if err := p.Drain(to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := reader.Read(buf); string(buf[:n]) != "body" || err != nil {
		t.Errorf("%q, %v; want body", buf[:n], err)
	}
	if n, err := from.Read(buf); string(buf[:n]) != " and more" || err != nil {
		t.Errorf("%q, %v is left; want the rest", buf[:n], err)
	}
}

func TestPipeFailsOnTheSideThatHasFailed(t *testing.T) {
	t.Run("the deadline of reads", func(t *testing.T) {
		from, _ := pair(t)
		_ = from.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := openPipe(t).Fill(from, 1); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	})
	t.Run("the deadline of writes", func(t *testing.T) {
		from, sender := pair(t)
		to, _ := pair(t) // whose peer does not read
		_ = to.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		go func() {
			for b := make([]byte, 1<<20); ; {
				if _, err := sender.Write(b); err != nil {
					return
				}
			}
		}()
		p := openPipe(t)
		for {
			if _, err := p.Fill(from, 1<<20); err != nil {
				t.Fatal(err)
			}
			if err := p.Drain(to); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				break
			}
		}
		_ = sender.Close()
	})
	t.Run("a reset of the sender", func(t *testing.T) {
		from, sender := pair(t)
		_ = sender.SetLinger(0)
		_ = sender.Close()
		n, err := openPipe(t).Fill(from, 1)
		if op, ok := errors.AsType[*net.OpError](err); n != 0 || !ok || op.Op != "read" || !errors.Is(err, syscall.ECONNRESET) {
			t.Error(n, err)
		}
	})
	t.Run("a reset of the receiver", func(t *testing.T) {
		from, sender := pair(t)
		to, reader := pair(t)
		_ = reader.SetLinger(0)
		_ = reader.Close()
		settled(t, to, socket.Gone)
		p := openPipe(t)
		write(t, sender, "lost")
		if n, err := p.Fill(from, 4); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		err := p.Drain(to)
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "write" {
			t.Error(err)
		}
	})
	t.Run("what is in one that failed goes to nobody else", func(t *testing.T) {
		for range 50 {
			p, err := socket.OpenPipe()
			if err != nil {
				t.Fatal(err)
			}
			from, sender := pair(t)
			write(t, sender, "old")
			if n, err := p.Fill(from, 3); n != 3 || err != nil {
				t.Fatal(n, err)
			}
			p.Free()
			next := openPipe(t)
			to, reader := pair(t)
			write(t, sender, "new")
			if n, err := next.Fill(from, 3); n != 3 || err != nil {
				t.Fatal(n, err)
			}
			if err := next.Drain(to); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 8)
			if n, err := reader.Read(buf); string(buf[:n]) != "new" || err != nil {
				t.Fatalf("%q, %v; want new", buf[:n], err)
			}
		}
	})
}
