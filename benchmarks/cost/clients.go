//go:build linux

package cost

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// clients are connections to a gateway that send requests from one epoll loop.
//
// Without a rate, each sends its next request when it has its response. With one, requests are due at times of their own (a
// Poisson process, the same for each gateway), whatever becomes of those before them; a request that finds no connection
// free waits, and its latency counts from when it was due (no coordinated omission). Regular times would beat with the
// kernel's clock tick, by which it samples who is busy.
type clients struct {
	tally

	epoll    int
	address  string
	request  []byte
	size     int // of the body of each response
	conns    []client
	interval time.Duration // between requests due, the mean; 0: none
	chance   *rand.Rand
	turns    bool
	free     []int32 // connections, with a rate
	late     []time.Duration
	due      time.Duration // when the next is due, since began
	began    time.Time
	buffer   []byte
	stop     atomic.Bool
	err      error // the first failure
}

// client is a connection.
type client struct {
	fd       int
	since    time.Duration // when its request was sent, or due
	answer   answer
	answered bool // at least once
}

// dial connects the clients of a load, and sends nothing yet.
func dial(address string, l *Load) (*clients, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &clients{turns: l.Turns, epoll: epoll, address: address, request: l.request(), size: l.body(), conns: make([]client, l.Connections), buffer: make([]byte, 256<<10)}
	c.ended = make(chan struct{})
	for i := range c.conns {
		if err := c.open(int32(i)); err != nil {
			for j := range i {
				_ = syscall.Close(c.conns[j].fd)
			}
			_ = syscall.Close(epoll)
			return nil, err
		}
	}
	if l.Rate > 0 {
		c.interval = time.Second / time.Duration(l.Rate)
		c.chance = rand.New(rand.NewPCG(uint64(l.Rate), 1))
	}
	c.latencies = make([]time.Duration, 0, 1<<20)
	return c, nil
}

func (c *clients) open(i int32) error {
	fd, err := connect(c.address)
	if err != nil {
		return err
	}
	c.conns[i] = client{fd: fd, since: c.conns[i].since}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: i})
}

// start sends requests until close.
func (c *clients) start() {
	c.began = time.Now()
	go c.loop()
}

func (c *clients) loop() {
	defer close(c.ended)
	runtime.LockOSThread() // never unlocked: the thread ends with its timers
	exactTimers()
	c.err = c.run()
}

// close ends the loop and the connections.
func (c *clients) close() error {
	c.stop.Store(true)
	<-c.ended
	for i := range c.conns {
		_ = syscall.Close(c.conns[i].fd)
	}
	_ = syscall.Close(c.epoll)
	return c.err
}

func (c *clients) run() error {
	for i := range c.conns {
		if c.interval > 0 {
			c.conns[i].since = idle
			c.free = append(c.free, int32(i))
		} else if err := c.send(int32(i), 0); err != nil {
			return err
		}
	}
	events := make([]syscall.EpollEvent, 256)
	for !c.stop.Load() {
		wait := 50 * time.Millisecond
		if c.interval > 0 {
			if err := c.dispatch(); err != nil {
				return err
			}
			wait = c.due - time.Since(c.began)
		}
		n, err := epollWait(c.epoll, events, wait)
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := c.read(e.Fd); err != nil {
				return err
			}
		}
	}
	return nil
}

// dispatch sends what is due.
func (c *clients) dispatch() error {
	for now := time.Since(c.began); c.due <= now; c.due += time.Duration(c.chance.ExpFloat64() * float64(c.interval)) {
		if len(c.free) == 0 {
			c.late = append(c.late, c.due)
			continue
		}
		i := c.next()
		if err := c.send(i, c.due); err != nil {
			return err
		}
	}
	return nil
}

// next takes a connection that is free.
func (c *clients) next() int32 {
	if c.turns {
		i := c.free[0]
		c.free = c.free[1:]
		return i
	}
	i := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	return i
}

func (c *clients) send(i int32, since time.Duration) error {
	c.conns[i].since = since
	for {
		n, err := rawWrite(c.conns[i].fd, c.request)
		if n == len(c.request) {
			return nil
		}
		if err == 0 || err == syscall.EAGAIN {
			return fmt.Errorf("clients: a socket took %d of %d bytes of a request at once", n, len(c.request))
		}
		if err := c.again(i, err); err != nil {
			return err
		}
	}
}

// again opens another connection for one that has failed.
func (c *clients) again(i int32, why error) error {
	if k := &c.conns[i]; !k.answered || !k.answer.untouched() {
		if err := c.fail(why); err != nil {
			return err
		}
	}
	_ = syscall.Close(c.conns[i].fd)
	return c.open(i)
}

func (c *clients) read(i int32) error {
	k := &c.conns[i]
	n, errno := rawRead(k.fd, c.buffer)
	if errno == syscall.EAGAIN {
		return nil
	}
	if n <= 0 {
		why := fmt.Errorf("%s closed a connection", c.address)
		if errno != 0 {
			why = errno
		}
		if err := c.again(i, why); err != nil {
			return err
		}
		if c.interval > 0 && k.since == idle {
			return nil
		}
		return c.send(i, k.since)
	}
	c.bytes.Add(int64(n))
	over, err := k.answer.take(c.buffer[:n])
	if err != nil {
		return fmt.Errorf("%s: %w", c.address, err)
	}
	if !over {
		return nil
	}
	if err := c.check(k.answer.status, k.answer.size, c.size); err != nil {
		return err
	}
	k.answer, k.answered = answer{}, true
	c.done.Add(1)
	now := time.Since(c.began)
	if c.timing.Load() && len(c.latencies) < cap(c.latencies) {
		c.latencies = append(c.latencies, now-k.since)
	}
	if c.interval == 0 {
		return c.send(i, now)
	}
	if len(c.late) > 0 {
		due := c.late[0]
		c.late = c.late[1:]
		return c.send(i, due)
	}
	k.since = idle
	c.free = append(c.free, i)
	return nil
}

// idle is the since of a connection without a request.
const idle = -1
