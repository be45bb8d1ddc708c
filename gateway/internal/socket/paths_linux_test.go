package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

// asker is either kind of connection, that of this package and that of other systems.
type asker interface {
	net.Conn
	Ask(p []byte) (int, error)
	Await() error
}

// What the unkind peer does in the end.
const (
	carriesOn = iota
	closes
	halfCloses
	resets
	stalls
	numEnds
)

// exchange is what one side asks and the other answers, and how the peer ends it: after so many bytes of the question, or,
// if it has read all of them, of the answer.
type exchange struct {
	question, answer     []byte
	end                  int
	endAsked, endAnswer  int
	reads, pieces, asked uint64 // seeds: of the sizes of reads, of the peer's pieces and pauses, and of how it is asked
}

// script makes the exchanges of one connection of a seed. The last one may end badly.
func script(seed uint64) (all []exchange) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range 1 + r.IntN(6) {
		x := exchange{question: make([]byte, 1+r.IntN(1<<r.IntN(19))), answer: make([]byte, 1+r.IntN(1<<r.IntN(19))), reads: r.Uint64(), pieces: r.Uint64(), asked: r.Uint64()}
		for _, b := range [][]byte{x.question, x.answer} {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		all = append(all, x)
	}
	last := &all[len(all)-1]
	last.end = r.IntN(numEnds)
	last.endAsked, last.endAnswer = len(last.question), r.IntN(len(last.answer)+1)
	if last.end == stalls {
		last.endAnswer = max(last.endAnswer, 1)
	}
	if last.end != carriesOn && r.IntN(3) == 0 {
		last.endAsked, last.endAnswer = r.IntN(len(last.question)), 0
	}
	return all
}

// unkind answers in pieces, with pauses, and ends as the script says. It returns what it was asked.
func unkind(c *net.TCPConn, all []exchange, over <-chan struct{}) (heard []byte) {
	defer c.Close()
	for i := range all {
		x := &all[i]
		r := rand.New(rand.NewPCG(x.pieces, 2))
		pause := func() {
			if r.IntN(16) == 0 {
				time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
			}
		}
		ask := len(x.question)
		if x.end != carriesOn {
			ask = x.endAsked
		}
		for got := 0; got < ask; pause() {
			buf := make([]byte, min(1+r.IntN(1<<r.IntN(17)), ask-got))
			n, err := c.Read(buf)
			if got += n; err != nil {
				return heard
			}
			heard = append(heard, buf[:n]...)
		}
		answer := x.answer
		if x.end != carriesOn {
			answer = answer[:x.endAnswer]
		}
		for len(answer) > 0 {
			n := min(1+r.IntN(1<<r.IntN(17)), len(answer))
			if _, err := c.Write(answer[:n]); err != nil {
				return heard
			}
			answer = answer[n:]
			pause()
		}
		switch x.end {
		case resets:
			delivered(c)
			_ = c.SetLinger(0)
			return heard
		case halfCloses:
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			return heard
		case stalls:
			<-over
			return heard
		case closes:
			return heard
		}
	}
	return heard
}

// delivered waits until all that was written has come to the other end: a reset takes back what has not.
func delivered(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	for left := int32(1); err == nil && left > 0; time.Sleep(100 * time.Microsecond) {
		err = raw.Control(func(fd uintptr) {
			_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&left)))
		})
	}
}

// ask plays the other side of the script, and returns what it heard, and the class of what ended it.
func ask(c asker, all []exchange) (heard []byte, end string) {
	for i := range all {
		x := &all[i]
		r := rand.New(rand.NewPCG(x.asked, 3))
		hurry := func(come, all int) { // bounds the wait for what will not come, and nothing before
			if x.end == stalls && come == all {
				_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
			}
		}
		partly := x.end != carriesOn && x.endAsked < len(x.question)
		for rest := x.question; len(rest) > 0; {
			n := len(rest)
			send := c.Ask // waits for an answer: for the last of the question alone
			if r.IntN(2) == 0 || partly {
				n, send = min(1+r.IntN(1<<r.IntN(20)), n), c.Write
			}
			if heard := len(x.question) - len(rest); partly {
				hurry(heard, x.endAsked)
				if heard < x.endAsked {
					n = min(n, x.endAsked-heard)
				}
			}
			if m, err := send(rest[:n]); err != nil {
				return heard, class(err)
			} else if m != n {
				return heard, fmt.Sprintf("%d of %d bytes were written, and no error", m, n)
			}
			rest = rest[n:]
		}
		r = rand.New(rand.NewPCG(x.reads, 4))
		for got := 0; got < len(x.answer); {
			hurry(got, x.endAnswer)
			if r.IntN(4) == 0 {
				if err := c.Await(); err != nil {
					return heard, class(err)
				}
			}
			buf := make([]byte, min(1+r.IntN(1<<r.IntN(17)), len(x.answer)-got))
			n, err := c.Read(buf)
			if got += n; err != nil {
				return append(heard, buf[:n]...), class(err)
			}
			heard = append(heard, buf[:n]...)
		}
	}
	return heard, "all came"
}

// class is what the gateway makes of an error. Whether a write or a read meets a reset first is a matter of time.
func class(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "end"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return err.Error()
}

// TestBothPathsMeetAnUnkindPeerAlike has connections of this package and those of other systems ask the same peer, which
// reads and answers in pieces, pauses, and ends, resets or stalls wherever it likes: both hear and say the same bytes and
// come to the same end.
func TestBothPathsMeetAnUnkindPeerAlike(t *testing.T) {
	seeds := 120
	if testing.Short() {
		seeds = 30
	}
	ends := map[string]int{}
	for seed := range uint64(seeds) {
		all := script(seed)
		play := func(wrap func(*net.TCPConn) asker) (heard, said []byte, end string) {
			c, peer := tcpPair(t)
			over, ended := make(chan struct{}), make(chan []byte)
			go func() { ended <- unkind(peer, all, over) }()
			heard, end = ask(wrap(c), all)
			close(over)
			_ = c.CloseWrite()
			said = <-ended
			_ = c.Close()
			if last := all[len(all)-1]; last.end == closes && last.endAsked < len(last.question) && end == "reset" {
				end = "end" // a close with bytes unread is a reset, if they had come by then
			}
			return heard, said, end
		}
		heard, said, end := play(func(c *net.TCPConn) asker { return socket.New(c) })
		otherHeard, otherSaid, otherEnd := play(func(c *net.TCPConn) asker { return socket.NewPortable(c) })
		if end != otherEnd || !bytes.Equal(heard, otherHeard) || !bytes.Equal(said, otherSaid) {
			t.Errorf("seed %d: %q after %d bytes heard and %d said, as usual %q after %d and %d", seed, end, len(heard), len(said), otherEnd, len(otherHeard), len(otherSaid))
		}
		var want []byte
		for _, x := range all {
			want = append(want, x.answer...)
		}
		if !bytes.HasPrefix(want, heard) || end == "all came" && len(want) != len(heard) {
			t.Errorf("seed %d: heard %d bytes that the peer did not send so", seed, len(heard))
		}
		ends[end]++
	}
	if len(ends) != 4 {
		t.Errorf("ends %v, want all came, end, reset and timeout", ends)
	}
}
