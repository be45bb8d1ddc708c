package proxy

import (
	"bufio"
	"encoding/binary"
	"io"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// Frames of HTTP/2 and their flags (RFC 9113, section 6).
const (
	dataFrame, headersFrame, resetFrame, settingsFrame, pingFrame, goAwayFrame, windowFrame, continuationFrame = 0, 1, 3, 4, 6, 7, 8, 9

	streamEnds, isAck, blockEnds, isPadded = 1, 1, 4, 8

	cancelCode = "\x00\x00\x00\x08"
)

// frame writes a frame of HTTP/2.
func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// preface2 is what a client of HTTP/2 begins with.
const preface2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// block writes header fields, names and values in turn, as literals that no table is needed for (RFC 7541, section 6.2.2).
func block(fields ...string) string {
	var b []byte
	for i, s := range fields {
		if i%2 == 0 {
			b = append(b, 0)
		}
		n := len(s)
		if n < 127 {
			b = append(b, byte(n))
		} else {
			for b, n = append(b, 127), n-127; n >= 128; n >>= 7 {
				b = append(b, byte(n)|128)
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	return string(b)
}

// get2 is the block of a GET.
func get2(path string) string {
	return block(":method", "GET", ":scheme", "http", ":authority", "test", ":path", path)
}

// got2 is a frame that was read.
type got2 struct {
	kind, flags byte
	stream      uint32
	payload     string
}

// read2 reads a frame.
func read2(r io.Reader) (f got2, err error) {
	var h [9]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return f, err
	}
	payload := make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
	_, err = io.ReadFull(r, payload)
	return got2{h[3], h[4], binary.BigEndian.Uint32(h[5:]), string(payload)}, err
}

// raw2 is a client of HTTP/2 that sends whatever frames a test likes.
type raw2 struct {
	*gatewaytest.Client
	tb testing.TB
	br *bufio.Reader
}

// dial2 begins a connection, with these settings.
func (g *gateway) dial2(settings string) *raw2 {
	g.tb.Helper()
	c := g.dial()
	c.Send(preface2 + frame(settingsFrame, 0, 0, settings))
	return &raw2{c, g.tb, bufio.NewReader(c)}
}

// next returns the next frame of that kind on that stream.
func (c *raw2) next(kind byte, stream uint32) got2 {
	c.tb.Helper()
	for {
		f, err := read2(c.br)
		switch {
		case err != nil:
			c.tb.Fatalf("no frame %d of stream %d came: %v", kind, stream, err)
		case f.kind == kind && f.stream == stream:
			return f
		}
	}
}
