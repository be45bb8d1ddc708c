package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Append appends a header of version 1 or 2: the connection that follows is that of the client source, which connected to
// destination. If one of them is IPv6 both are written so. If one is not valid, nothing is known of the client, and the
// connection's own addresses hold: that is UNKNOWN in version 1, and in version 2 LOCAL, for HAProxy 2.6 refuses UNSPEC. What
// is appended must be the first that is sent, and sent at once. At most 107 bytes, without allocation if dst has room.
func Append(dst []byte, version int, source, destination netip.AddrPort) []byte {
	from, to := source.Addr().Unmap(), destination.Addr().Unmap()
	known, ipv4 := from.IsValid() && to.IsValid(), from.Is4() && to.Is4()
	if version == 1 {
		return appendLine(dst, known, ipv4, source.Port(), destination.Port(), from, to)
	}
	dst = append(dst, signature...)
	switch {
	case !known:
		return append(dst, version2|commandLocal, familyNone, 0, 0)
	case ipv4:
		a, b := from.As4(), to.As4()
		dst = append(dst, version2|commandProxy, familyIPv4<<4|transportStream, 0, byte(addresses[familyIPv4]))
		dst = append(append(dst, a[:]...), b[:]...)
	default:
		a, b := from.As16(), to.As16()
		dst = append(dst, version2|commandProxy, familyIPv6<<4|transportStream, 0, byte(addresses[familyIPv6]))
		dst = append(append(dst, a[:]...), b[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}

// AppendLocal appends what begins a connection of our own, such as a probe, from local to remote. Version 2 has LOCAL for
// that; of version 1 the specification wants a line with the connection's own addresses, since UNKNOWN is often refused.
func AppendLocal(dst []byte, version int, local, remote netip.AddrPort) []byte {
	if version == 1 {
		return Append(dst, version, local, remote)
	}
	return Append(dst, version, netip.AddrPort{}, netip.AddrPort{})
}

func appendLine(dst []byte, known, ipv4 bool, sourcePort, destinationPort uint16, from, to netip.Addr) []byte {
	dst = append(dst, keyword...)
	switch {
	case !known:
		return append(dst, "UNKNOWN\r\n"...)
	case ipv4:
		dst = append(dst, "TCP4 "...)
	default:
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16()) // both IPv6, without zones
		dst = append(dst, "TCP6 "...)
	}
	dst = append(from.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(sourcePort), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(destinationPort), 10), "\r\n"...)
}
