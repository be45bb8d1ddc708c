package clients

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Introduced is an endpoint that answers each request with the port of the client, which the PROXY header says that its
// connection begins with: whether clients use connections again can be seen by that.
type Introduced struct {
	Address string // host:port

	ln   net.Listener
	done sync.WaitGroup
}

// NewIntroduced starts one on a free port of 127.0.0.1.
func NewIntroduced() (*Introduced, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &Introduced{Address: ln.Addr().String(), ln: ln}
	e.done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.done.Go(func() {
				defer c.Close()
				_ = answerPort(c)
			})
		}
	})
	return e, nil
}

// Close stops the endpoint.
func (e *Introduced) Close() {
	_ = e.ln.Close()
	e.done.Wait()
}

var errNotIntroduced = errors.New("the connection does not begin with a PROXY header of version 1")

func answerPort(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(c)
	line, err := br.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(line) // PROXY TCP4 source destination source-port destination-port
	if len(words) != 6 || words[0] != "PROXY" {
		return errNotIntroduced
	}
	if _, err := http.ReadRequest(br); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(words[4]), words[4])
	return err
}
