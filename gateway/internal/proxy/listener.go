package proxy

import (
	"errors"
	"net"
	"time"
)

const (
	acceptBackoff    = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
)

// listener wraps connections, and outlives the errors that fasthttp takes for the end: no file descriptor left, a
// connection that was gone before it was accepted.
type listener struct {
	net.Listener
	name   string
	number uint16
	server *Server
}

// Close closes the listener. That it is closed already is no error: Shutdown closes it, and fasthttp after that.
func (l *listener) Close() error {
	if err := l.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Accept returns an error only if the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	wait := acceptBackoff
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			w := l.server.newConn(c.(*net.TCPConn), l.name, l.number)
			l.server.remember(w)
			return w, nil
		case errors.Is(err, net.ErrClosed):
			return nil, err
		}
		l.server.stats.acceptErrors.Add(1)
		select {
		case <-time.After(wait):
			wait = min(2*wait, maxAcceptBackoff)
		case <-l.server.draining:
			return nil, net.ErrClosed
		}
	}
}
