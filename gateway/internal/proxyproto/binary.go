package proxyproto

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Version 2 (section 2.2).
const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = len(signature) + 4 // version and command, family and transport, length of the rest

	version2     = 2 << 4
	commandLocal = 0
	commandProxy = 1

	familyNone = 0
	familyIPv4 = 1
	familyIPv6 = 2
	familyUnix = 3

	transportStream = 1
	transportPacket = 2
)

// addresses holds how many bytes the addresses of a family have.
var addresses = [...]int{familyNone: 0, familyIPv4: 2 * (4 + 2), familyIPv6: 2 * (16 + 2), familyUnix: 2 * 108}

// parseBinary reads a header of version 2, whose first bytes are known.
func parseBinary(buf []byte) (Header, int, error) {
	if len(buf) < fixed {
		return Header{}, 0, ErrMore
	}
	version, command := buf[12]>>4, buf[12]&15
	family, transport := buf[13]>>4, buf[13]&15
	length := int(binary.BigEndian.Uint16(buf[14:]))
	known := int(family) < len(addresses) && transport <= transportPacket && (family == familyNone) == (transport == 0)
	switch {
	case version != 2:
		return Header{}, 0, fmt.Errorf("PROXY header: got version %d, want 2 after the signature", version)
	case command > commandProxy:
		return Header{}, 0, fmt.Errorf("PROXY header: got command %d, want 0 (LOCAL) or 1 (PROXY)", command)
	case length > MaxPayload:
		return Header{}, 0, fmt.Errorf("PROXY header: got %d bytes of addresses and attributes, want %d at most", length, MaxPayload)
	case command == commandProxy && !known:
		return Header{}, 0, fmt.Errorf("PROXY header: got family %d and transport %d, want 1..3 and 1..2, or 0 and 0", family, transport)
	case command == commandProxy && length < addresses[family]:
		return Header{}, 0, fmt.Errorf("PROXY header: got %d bytes, want %d for the addresses of family %d", length, addresses[family], family)
	case len(buf) < fixed+length:
		return Header{}, 0, ErrMore
	}
	n := fixed + length
	h := Header{Version: 2, Local: command == commandLocal}
	if h.Local || family == familyNone {
		// All of it is to be ignored, and may be anything. A checksum that can be found is held nevertheless: the one bit
		// that tells LOCAL from PROXY decides whose address counts.
		skip := 0
		if known {
			skip = addresses[family]
		}
		var ignored Header
		if err := ignored.attributes(buf[:n], fixed+skip); err == errChecksum {
			return Header{}, 0, err
		}
		return h, n, nil
	}
	if err := h.attributes(buf[:n], fixed+addresses[family]); err != nil {
		return Header{}, 0, err
	}
	if transport != transportStream {
		return h, n, nil
	}
	switch at := buf[fixed:n]; family {
	case familyIPv4:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at)), binary.BigEndian.Uint16(at[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at[4:])), binary.BigEndian.Uint16(at[10:]))
	case familyIPv6:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at)).Unmap(), binary.BigEndian.Uint16(at[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at[16:])).Unmap(), binary.BigEndian.Uint16(at[34:]))
	}
	return h, n, nil
}
