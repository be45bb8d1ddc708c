package proxyproto

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"
)

// Version 1 (section 2.1).
const (
	keyword = "PROXY "
	maxLine = 107 // with CRLF
)

// parseLine reads a header of version 1, whose first bytes are known.
func parseLine(buf []byte) (Header, int, error) {
	window := buf[:min(len(buf), maxLine)]
	lf, cr := bytes.IndexByte(window, '\n'), bytes.IndexByte(window, '\r')
	switch {
	case lf >= 0 && lf != cr+1 || lf < 0 && cr >= 0 && cr+1 < len(window):
		return Header{}, 0, fmt.Errorf("PROXY header: got %q, want one line that ends with CRLF", window)
	case lf < 0 && len(window) == maxLine:
		return Header{}, 0, fmt.Errorf("PROXY header: got %q without an end, want a line of %d bytes at most", window, maxLine)
	case lf < 0:
		return Header{}, 0, ErrMore
	}
	h := Header{Version: 1}
	family, rest, more := bytes.Cut(window[len(keyword):cr], []byte(" "))
	switch string(family) {
	case "UNKNOWN": // whatever follows is to be ignored
		return h, lf + 1, nil
	case "TCP4", "TCP6":
	default:
		return Header{}, 0, fmt.Errorf("PROXY header: got the family %q, want TCP4, TCP6 or UNKNOWN", family)
	}
	var fields [4][]byte
	for i := range fields {
		if !more {
			return Header{}, 0, fmt.Errorf("PROXY header: got %q, want a family, two addresses and two ports", window[:cr])
		}
		fields[i], rest, more = bytes.Cut(rest, []byte(" "))
	}
	if more {
		return Header{}, 0, fmt.Errorf("PROXY header: got %q after the ports, want the end of the line", rest)
	}
	ipv4 := string(family) == "TCP4"
	source, err := endOf("source", fields[0], fields[2], ipv4)
	if err != nil {
		return Header{}, 0, err
	}
	destination, err := endOf("destination", fields[1], fields[3], ipv4)
	if err != nil {
		return Header{}, 0, err
	}
	h.Source, h.Destination = source, destination
	return h, lf + 1, nil
}

// endOf reads an address and a port, of which says whose. Senders with sockets for both families write an IPv4 address in
// TCP6 as ::ffff:192.0.2.1, as inet_ntop does; so that is accepted though the specification does not speak of it.
func endOf(which string, address, port []byte, ipv4 bool) (netip.AddrPort, error) {
	text := unsafe.String(unsafe.SliceData(address), len(address)) // not kept: there is no zone
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is4() != ipv4 || strings.Contains(text, "%") {
		if ipv4 {
			return netip.AddrPort{}, fmt.Errorf("PROXY header: got the %s address %q, want an IPv4 address", which, address)
		}
		return netip.AddrPort{}, fmt.Errorf("PROXY header: got the %s address %q, want an IPv6 address", which, address)
	}
	n, ok := portOf(port)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("PROXY header: got the %s port %q, want 0..65535 without leading zeros", which, port)
	}
	return netip.AddrPortFrom(ip.Unmap(), n), nil
}

func portOf(text []byte) (uint16, bool) {
	if len(text) < 1 || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return uint16(n), n <= 65535
}
