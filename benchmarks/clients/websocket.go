package clients

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"time"
)

// Opcodes of WebSocket frames (RFC 6455, section 5.2).
const (
	continued       = 0x0
	closeFrame      = 0x8
	ping            = 0x9
	pong            = 0xa
	final      byte = 0x80
	masked     byte = 0x80
)

// frame is a WebSocket frame (RFC 6455, section 5.2).
type frame struct {
	first   byte // FIN, the reserved bits and the opcode
	payload []byte
}

// appendFrame appends a frame in its shortest form, masked with key unless that is nil.
func appendFrame(b []byte, f frame, key []byte) []byte {
	var bit byte
	if key != nil {
		bit = masked
	}
	b = append(b, f.first)
	switch n := len(f.payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	b = append(b, key...)
	for i, c := range f.payload {
		if key != nil {
			c ^= key[i%4]
		}
		b = append(b, c)
	}
	return b
}

// readFrame reads a frame, and takes its mask off.
func readFrame(br *bufio.Reader) (frame, error) {
	var head [10]byte
	if _, err := io.ReadFull(br, head[:2]); err != nil {
		return frame{}, err
	}
	n := uint64(head[1] &^ masked)
	var err error
	switch n {
	case 126:
		_, err = io.ReadFull(br, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(br, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return frame{}, err
	}
	var key [4]byte
	if head[1]&masked != 0 {
		if _, err := io.ReadFull(br, key[:]); err != nil {
			return frame{}, err
		}
	}
	f := frame{head[0], make([]byte, n)}
	_, err = io.ReadFull(br, f.payload)
	for i := range f.payload {
		f.payload[i] ^= key[i%4]
	}
	return f, err
}

// accept is the field Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// chat echoes messages, answers pings, and closes when it is asked to, with the status that it was given.
func chat(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || r.Header.Get("Upgrade") == "" {
		http.Error(w, "this is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer c.Close()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept(key) + "\r\n\r\n")
	for rw.Flush() == nil {
		_ = c.SetDeadline(time.Now().Add(patience))
		f, err := readFrame(rw.Reader)
		if err != nil {
			return
		}
		switch f.first & 0xf {
		case ping:
			f.first = final | pong
		case pong:
			continue
		}
		_, _ = rw.Write(appendFrame(nil, f, nil))
		if f.first&0xf == closeFrame {
			_ = rw.Flush()
			return
		}
	}
}
