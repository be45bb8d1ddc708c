package config

import (
	"encoding/hex"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-lb/weir/gateway/internal/certs"
	"github.com/weir-lb/weir/internal/form"
)

// texts holds the forms that a text can have, by the tag as, and how they are called in messages.
var texts = map[string]form.Text{
	"address":   {OK: func(s string) bool { return isAddress(s, false) }, Want: "host:port, ports 1..65535"},
	"listen":    {OK: func(s string) bool { return isAddress(s, true) }, Want: "host:port or :port, ports 0..65535"},
	"authority": {OK: isAuthority, Want: "a host or host:port"},
	"built-in":  {Want: "a built-in policy"},
	"condition": {OK: isCondition, Want: "connect, reset, timeout or a status 400..599"},
	"consul":    {OK: isAgent, Want: "http://host:port, https://host:port, unix:///path or host:port"},
	"file":      {Want: "the name of a readable file"},
	"folder":    {Want: `the name of a folder, or "" for none`},
	"host":      {Lower: true, OK: isHostPattern, Want: "a host name without port, or *. and a host name"},
	"cipher":    {OK: func(s string) bool { return certs.CipherSuites[s] != 0 }, Want: "one of " + strings.Join(slices.Sorted(maps.Keys(certs.CipherSuites)), ", ")},
	"name":      form.Name,
	"path":      {Want: "the name of a file"},
	"prefix":    {OK: func(s string) bool { return isTarget(s) && !strings.ContainsAny(s, "?#") }, Want: "a path that begins with /, without ? and #"},
	"server":    {Lower: true, OK: isHost, Want: "a host name or an IP address, without port"},
	"sha256":    {Lower: true, OK: isDigest, Want: "64 hexadecimal digits"},
	"target":    {OK: func(s string) bool { return isTarget(s) && !strings.Contains(s, "#") }, Want: "a path that begins with /, with a query or without"},
	"token":     {OK: isToken, Want: "a name as header fields have it: letters, digits and !#$%&'*+-.^_`|~"},
}

func allBytes(s string, ok func(c byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return s != ""
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isToken follows RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return allBytes(s, func(c byte) bool { return alphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 })
}

// isTarget accepts what can stand in a request line as it is.
func isTarget(s string) bool {
	return strings.HasPrefix(s, "/") && allBytes(s, func(c byte) bool { return '!' <= c && c <= '~' })
}

// isHost accepts a name or an IP address, the latter without brackets.
func isHost(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == ""
	}
	return len(s) <= 253 && !strings.Contains(s, "..") &&
		allBytes(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '.' || c == '_' })
}

// isBareHost accepts a host as it stands in an authority: an IPv6 address has brackets.
func isBareHost(s string) bool {
	if strings.Contains(s, ":") {
		return strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && isHost(s[1:len(s)-1])
	}
	return isHost(s)
}

func isHostPattern(s string) bool {
	below, wild := strings.CutPrefix(s, "*.")
	return isBareHost(below) && !(wild && strings.Contains(below, ":"))
}

func isPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && least <= n && n <= 65535 && s[0] != '+' && s[0] != '-'
}

// isAddress accepts host:port. To listen on, the host may be missing and the port 0, which takes a free one.
func isAddress(s string, listen bool) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if listen {
		return isPort(port, 0) && (host == "" || isHost(host))
	}
	return isPort(port, 1) && isHost(host)
}

func isAuthority(s string) bool { return isBareHost(s) || isAddress(s, false) }

func isAgent(s string) bool {
	if isAddress(s, false) {
		return true
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return isAuthority(u.Host)
	case "unix":
		return u.Host == "" && len(u.Path) > 1
	}
	return false
}

func isCondition(s string) bool {
	switch s {
	case "connect", "reset", "timeout":
		return true
	}
	n, err := strconv.Atoi(s)
	return err == nil && len(s) == 3 && 400 <= n && n <= 599
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}
