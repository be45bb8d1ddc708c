package proxyproto

import (
	"fmt"
	"io"
	"time"
)

// Conn is what Read needs of a connection; a *net.TCPConn is one.
type Conn interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// Read reads the header of a connection, which must have come by the given time, through buf of at least [MaxHeader] bytes.
// rest, and what the header holds beside addresses, are parts of buf; rest is what came behind the header, for the caller to
// read first. The read deadline of c stays set.
//
// Errors: [ErrNone], when rest is all that came, so that it can be served without a header; [io.EOF], if the peer closed
// before it sent anything, as checks that only connect do; those of [Parse]; those of c, with how far it came.
func Read(c Conn, by time.Time, buf []byte) (h Header, rest []byte, err error) {
	if err := c.SetReadDeadline(by); err != nil {
		return Header{}, nil, fmt.Errorf("PROXY header: %w", err)
	}
	for have := 0; ; {
		n, readErr := c.Read(buf[have:MaxHeader])
		have += n
		// What has come counts, even if it came with an error: that comes again.
		h, n, err := Parse(buf[:have])
		switch {
		case err == ErrNone:
			return Header{}, buf[:have], err
		case err == nil:
			return h, buf[n:have], nil
		case err != ErrMore:
			return Header{}, nil, err
		case readErr == io.EOF && have == 0:
			return Header{}, nil, io.EOF
		case readErr == io.EOF:
			readErr = io.ErrUnexpectedEOF
		}
		if readErr != nil {
			return Header{}, nil, fmt.Errorf("PROXY header: got %d bytes of it, want the whole: %w", have, readErr)
		}
	}
}
