// Package proxyproto reads and writes what the PROXY protocol, versions 1 and 2, puts before the first byte of a connection:
// whose connection it is. It follows HAProxy's doc/proxy-protocol.txt, whose sections are named here. Connections are not
// wrapped, so that they stay what they are; the header is read once, and what came behind it is the caller's.
package proxyproto

import (
	"errors"
	"net/netip"
)

const (
	// MaxPayload bounds what follows the 16 fixed bytes of a header of version 2, addresses and attributes. Attributes of the
	// specification come to some hundreds of bytes; a chain of certificates does not belong there.
	MaxPayload = 4096
	// MaxHeader bounds a header of either version, in bytes.
	MaxHeader = fixed + MaxPayload
)

// Results of [Parse] that are no mistake of the sender. Any other error is one, and says what was got and what was wanted.
var (
	// ErrMore says that the bytes so far can begin a header, and that it does not end within them.
	ErrMore = errors.New("PROXY header: got a part of it, want the whole")
	// ErrNone says that no header begins with these bytes.
	ErrNone = errors.New("no PROXY header")
)

// Header is what a header says.
type Header struct {
	Version int // 1 or 2
	// Local says that the sender speaks for itself, as in its health checks (LOCAL of version 2).
	Local bool
	// Source and Destination are the client, and what it connected to. Both are valid or neither: if not, the connection's own
	// addresses hold (LOCAL, UNKNOWN, UNSPEC, UNIX sockets, UDP). IPv4 is never mapped into IPv6, and there are no zones.
	Source, Destination netip.AddrPort

	// What follows is of version 2: parts of the parsed bytes, whoever wrote them, nil if absent.

	ALPN      []byte // the protocol that the client negotiated
	Authority []byte // the host that it asked for, of TLS its SNI
	UniqueID  []byte // of the connection, 1..128 bytes
	TLS       TLS
}

// TLS is what the sender says of the client's TLS.
type TLS struct {
	Used        bool // the client speaks TLS with the sender
	Certificate bool // it presented a certificate, on this connection or earlier in this session
	Verified    bool // and that was verified

	Version, CommonName, Cipher []byte // nil if absent
}

// Parse reads the header that buf begins with, and returns how many bytes it has. More bytes change nothing but [ErrMore]:
// whatever else it said of the first ones, it says again. It allocates nothing, but for errors that it describes.
func Parse(buf []byte) (h Header, n int, err error) {
	switch {
	case begins(buf, signature):
		return parseBinary(buf)
	case begins(buf, keyword):
		return parseLine(buf)
	}
	return Header{}, 0, ErrNone
}

// Is reports whether buf begins as headers do, whatever follows: for those who want to name what they do not read.
func Is(buf []byte) bool {
	return len(buf) >= len(signature) && begins(buf, signature) || len(buf) >= len(keyword) && begins(buf, keyword)
}

// begins reports whether buf begins with text, as far as it goes.
func begins(buf []byte, text string) bool {
	n := min(len(buf), len(text))
	return string(buf[:n]) == text[:n]
}
