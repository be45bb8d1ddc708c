package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// patience is how long a client waits for the whole of a response.
const patience = 5 * time.Second

// clients are the connections that a load has to a gateway. Unlike the client of net/http they repeat nothing: what a gateway
// loses is lost.
type clients struct {
	address string
	mu      sync.Mutex
	idle    []*client
}

type client struct {
	net.Conn
	in *bufio.Reader
}

func (cs *clients) take() (*client, error) {
	cs.mu.Lock()
	if n := len(cs.idle); n > 0 {
		c := cs.idle[n-1]
		cs.idle = cs.idle[:n-1]
		cs.mu.Unlock()
		return c, nil
	}
	cs.mu.Unlock()
	c, err := net.DialTimeout("tcp", cs.address, patience)
	if err != nil {
		return nil, err
	}
	return &client{c, bufio.NewReader(c)}, nil
}

func (cs *clients) give(c *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.idle = append(cs.idle, c)
}

func (cs *clients) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.idle {
		_ = c.Close()
	}
	cs.idle = nil
}

// answer is what came of a request that went well.
type answer struct {
	endpoint    string
	retries     int    // that the gateway's response tells of
	explanation string // Weir's, if it was asked for one
}

// send makes one request, and fails unless the response is the right one.
func (cs *clients) send(id int, post bool, token string) (a answer, err error) {
	c, err := cs.take()
	if err != nil {
		return a, err
	}
	whole := false
	defer func() {
		if whole {
			cs.give(c)
		} else {
			_ = c.Close()
		}
	}()
	var b []byte
	if post {
		text := strconv.Itoa(id) + padding
		b = fmt.Appendf(b, "POST /r/%d HTTP/1.1\r\nHost: chaos\r\nContent-Length: %d\r\n\r\n%s", id, len(text), text)
	} else {
		b = fmt.Appendf(b, "GET /r/%d HTTP/1.1\r\nHost: chaos\r\n", id)
		if token != "" {
			b = fmt.Appendf(b, "Weir-Explain: %s\r\n", token)
		}
		b = append(b, "\r\n"...)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(b); err != nil {
		return a, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return a, fmt.Errorf("no head: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, fmt.Errorf("status %d, and within the body: %w", resp.StatusCode, err)
	}
	whole = !resp.Close
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("status %d", resp.StatusCode)
	}
	if string(body) != strconv.Itoa(id)+padding {
		return a, errors.New("status 200 with another body")
	}
	h := resp.Header
	return answer{endpoint: h.Get("X-Endpoint"), retries: retriesOf(h), explanation: h.Get("Weir-Explain")}, nil
}

// retriesOf reads what the configurations of the peers make them tell: HAProxy a number of retries, nginx the addresses
// that it asked.
func retriesOf(h http.Header) int {
	if n, err := strconv.Atoi(h.Get("X-Retries")); err == nil {
		return n
	}
	return strings.Count(h.Get("X-Upstreams"), ",")
}
