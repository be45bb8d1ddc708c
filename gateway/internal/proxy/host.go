package proxy

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// validHost accepts what a Host field may hold here: a registered name, an IPv4 address or an IPv6 address in brackets,
// and perhaps a port (RFC 9110, section 7.2, by RFC 3986, sections 3.2.2 and 3.2.3). User information in it would become
// an Authorization field further on, a list is nobody's name, and addresses later than version 6 are not assigned.
func validHost(h []byte) bool {
	if len(h) == 0 || len(h) > maxHost {
		return false
	}
	if h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		return end > 0 && isIPv6(h[1:end]) && validPort(h[end+1:])
	}
	if colon := bytes.IndexByte(h, ':'); colon >= 0 {
		if !validPort(h[colon:]) {
			return false
		}
		h = h[:colon]
	}
	for _, b := range h {
		if !isName[b] {
			return false
		}
	}
	return len(h) > 0 && wellEscaped(h)
}

// validPort accepts nothing, or a colon and the number of a port, which may be left out.
func validPort(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	n := 0
	for _, b := range p[1:] {
		if b < '0' || b > '9' || n > 0xffff {
			return false
		}
		n = n*10 + int(b-'0')
	}
	return p[0] == ':' && n <= 0xffff
}

// isIPv6 reports whether b is an IPv6 address without a zone.
func isIPv6(b []byte) bool {
	for _, c := range b {
		if !isHex[c] && c != ':' && c != '.' {
			return false
		}
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b))) // not kept
	return err == nil && a.Is6()
}

var isName = byteSet("-._~!$&'()*+;=%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
