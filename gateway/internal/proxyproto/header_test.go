package proxyproto_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

const after = "GET / HTTP/1.1\r\n"

func TestHeadersThatAreAccepted(t *testing.T) {
	ipv4 := "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb"
	ipv6 := strings.Repeat("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", 2) + "\x30\x39\x01\xbb"
	mapped := strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01", 2) + "\x30\x39\x01\xbb"
	for name, c := range map[string]struct{ text, source, destination string }{
		"TCP4":                            {"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "192.0.2.1:12345", "198.51.100.2:443"},
		"TCP4 at its longest":             {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", "255.255.255.255:65535"},
		"TCP4 with zeros":                 {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
		"TCP6":                            {"PROXY TCP6 2001:db8::1 ::1 12345 443\r\n", "[2001:db8::1]:12345", "[::1]:443"},
		"TCP6 written out, in both cases": {"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:00aF ::1 1 2\r\n", "[2001:db8::af]:1", "[::1]:2"},
		"TCP6 of IPv4":                    {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 1 2\r\n", "192.0.2.1:1", "198.51.100.2:2"},
		"UNKNOWN":                         {"PROXY UNKNOWN\r\n", "", ""},
		"UNKNOWN with anything":           {"PROXY UNKNOWN  ffff::1 % 0065535\r\n", "", ""},
		"UNKNOWN at its longest":          {"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", "", ""},
		"IPv4":                            {signature + "\x21\x11\x00\x0c" + ipv4, "192.0.2.1:12345", "198.51.100.2:443"},
		"IPv6":                            {signature + "\x21\x21\x00\x24" + ipv6, "[2001:db8::1]:12345", "[2001:db8::1]:443"},
		"IPv6 of IPv4":                    {signature + "\x21\x21\x00\x24" + mapped, "192.0.2.1:12345", "192.0.2.1:443"},
		"UDP, whose addresses are not a connection's": {signature + "\x21\x12\x00\x0c" + ipv4, "", ""},
		"UNIX":                           {signature + "\x21\x31\x00\xd8" + strings.Repeat("/", 216), "", ""},
		"UNIX datagrams":                 {signature + "\x21\x32\x00\xd8" + strings.Repeat("/", 216), "", ""},
		"UNSPEC":                         {signature + "\x21\x00\x00\x00", "", ""},
		"UNSPEC with anything":           {signature + "\x21\x00\x00\x05\xff\xff\xff\xff\xff", "", ""},
		"LOCAL":                          {signature + "\x20\x00\x00\x00", "", ""},
		"LOCAL with addresses":           {signature + "\x20\x11\x00\x0c" + ipv4, "", ""},
		"LOCAL of no family that exists": {signature + "\x20\xff\x00\x05\x03\x00\x09ab", "", ""},
		"LOCAL with less than addresses": {signature + "\x20\x21\x00\x0c" + ipv4, "", ""},
		"as much as may be":              {signature + "\x21\x11\x10\x00" + ipv4 + "\xe0\x0f\xf1" + strings.Repeat("x", 4081), "192.0.2.1:12345", "198.51.100.2:443"},
	} {
		t.Run(name, func(t *testing.T) {
			h, n, err := proxyproto.Parse([]byte(c.text + after))
			if err != nil || n != len(c.text) {
				t.Fatalf("got %d bytes, %v; want %d", n, err, len(c.text))
			}
			version, source, destination := 1, "", ""
			if strings.HasPrefix(c.text, signature) {
				version = 2
			}
			if h.Source.IsValid() {
				source, destination = h.Source.String(), h.Destination.String()
			}
			if source != c.source || destination != c.destination || h.Version != version || h.Local != strings.HasPrefix(name, "LOCAL") {
				t.Errorf("got %+v, want version %d, %q and %q", h, version, c.source, c.destination)
			}
			if !proxyproto.Is([]byte(c.text)) {
				t.Error("it is not seen to be one")
			}
			for k := range len(c.text) {
				if _, _, err := proxyproto.Parse([]byte(c.text[:k])); err != proxyproto.ErrMore {
					t.Fatalf("of %d bytes: %v, want %v", k, err, proxyproto.ErrMore)
				}
			}
		})
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n":                   `got the family "", want TCP4, TCP6 or UNKNOWN`,
		"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n":                    `got the family "tcp4", want TCP4, TCP6 or UNKNOWN`,
		"PROXY UNKNOWNX\r\n":                                        `got the family "UNKNOWNX", want TCP4, TCP6 or UNKNOWN`,
		"PROXY \r\n":                                                `got the family "", want TCP4, TCP6 or UNKNOWN`,
		"PROXY /?a HTTP/1.1\r\n":                                    `got the family "/?a", want TCP4, TCP6 or UNKNOWN`,
		"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n":                   `got "2" after the ports, want the end of the line`,
		"PROXY TCP4  192.0.2.1 192.0.2.2 1\r\n":                     `got the source address "", want an IPv4 address`,
		"PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n":                   `got the family "TCP4\t192.0.2.1", want TCP4, TCP6 or UNKNOWN`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n":                      `got "PROXY TCP4 192.0.2.1 192.0.2.2 1", want a family, two addresses and two ports`,
		"PROXY TCP4\r\n":                                            `got "PROXY TCP4", want a family, two addresses and two ports`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n":                   `got "" after the ports, want the end of the line`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n":                  `got "3" after the ports, want the end of the line`,
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n":                   `got the source address "192.0.2.01", want an IPv4 address`,
		"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n":                      `got the source address "192.0.2", want an IPv4 address`,
		"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n":                  `got the source address "192.0.2.256", want an IPv4 address`,
		"PROXY TCP4 192.0.2.1 ::1 1 2\r\n":                          `got the destination address "::1", want an IPv4 address`,
		"PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n":             `got the source address "::ffff:192.0.2.1", want an IPv4 address`,
		"PROXY TCP6 ::1 192.0.2.2 1 2\r\n":                          `got the destination address "192.0.2.2", want an IPv6 address`,
		"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n":                       `got the source address "fe80::1%eth0", want an IPv6 address`,
		"PROXY TCP6 [::1] ::1 1 2\r\n":                              `got the source address "[::1]", want an IPv6 address`,
		"PROXY TCP6 1::2::3 ::1 1 2\r\n":                            `got the source address "1::2::3", want an IPv6 address`,
		"PROXY TCP6 ::00001 ::1 1 2\r\n":                            `got the source address "::00001", want an IPv6 address`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n":                   `got the source port "01", want 0..65535 without leading zeros`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n":                `got the destination port "65536", want 0..65535 without leading zeros`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n":                   `got the source port "+1", want 0..65535 without leading zeros`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 100000\r\n":               `got the destination port "100000", want 0..65535 without leading zeros`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n":                      `got "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", want one line that ends with CRLF`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rG":                     `got "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rG", want one line that ends with CRLF`,
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n":                  `got "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", want one line that ends with CRLF`,
		"PROXY UNKNOWN\n\r\n":                                       `got "PROXY UNKNOWN\n\r\n", want one line that ends with CRLF`,
		"PROXY UNKNOWN " + strings.Repeat("f", 93):                  `got "PROXY UNKNOWN ` + strings.Repeat("f", 93) + `" without an end, want a line of 107 bytes at most`,
		"PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n":         `got "PROXY UNKNOWN ` + strings.Repeat("f", 92) + `\r" without an end, want a line of 107 bytes at most`,
		signature + "\x11\x11\x00\x0c":                              "got version 1, want 2 after the signature",
		signature + "\x22\x11\x00\x0c":                              "got command 2, want 0 (LOCAL) or 1 (PROXY)",
		signature + "\x21\x41\x00\x0c":                              "got family 4 and transport 1, want 1..3 and 1..2, or 0 and 0",
		signature + "\x21\x13\x00\x0c":                              "got family 1 and transport 3, want 1..3 and 1..2, or 0 and 0",
		signature + "\x21\x10\x00\x0c":                              "got family 1 and transport 0, want 1..3 and 1..2, or 0 and 0",
		signature + "\x21\x01\x00\x0c":                              "got family 0 and transport 1, want 1..3 and 1..2, or 0 and 0",
		signature + "\x21\x11\x00\x0b":                              "got 11 bytes, want 12 for the addresses of family 1",
		signature + "\x21\x21\x00\x23":                              "got 35 bytes, want 36 for the addresses of family 2",
		signature + "\x21\x31\x00\xd7":                              "got 215 bytes, want 216 for the addresses of family 3",
		signature + "\x21\x11\x10\x01":                              "got 4097 bytes of addresses and attributes, want 4096 at most",
		signature + "\x20\x00\xff\xff":                              "got 65535 bytes of addresses and attributes, want 4096 at most",
		signature + "\x21\x11\x00\x0d" + strings.Repeat("\x00", 13): "got 1 bytes after the last attribute, want none",
	} {
		h, n, err := proxyproto.Parse([]byte(text))
		if err == nil || err == proxyproto.ErrMore || err.Error() != "PROXY header: "+want || n != 0 || h.Version != 0 {
			t.Errorf("%q: got %+v, %d bytes,\n%v, want\nPROXY header: %s", text, h, n, err, want)
		}
	}
}

func TestWhatIsNoHeaderIsToldFromOneAtOnce(t *testing.T) {
	for _, text := range []string{"G", "PUT / HTTP/1.1", "PROP", "proxy TCP4", "PROXY\t", "PRI * HTTP/2.0", " PROXY ", "\n", "\r\n\r\nG", "\r\n\r\n\x00\r\nQUIT\r", "\x16\x03\x01"} {
		for _, more := range []string{"", after} {
			if _, n, err := proxyproto.Parse([]byte(text + more)); !errors.Is(err, proxyproto.ErrNone) || n != 0 {
				t.Errorf("%q: got %d bytes, %v, want %v", text+more, n, err, proxyproto.ErrNone)
			}
		}
		if proxyproto.Is([]byte(text)) {
			t.Errorf("%q is seen to be a header", text)
		}
	}
	for _, text := range []string{"", "P", "PROXY", signature[:4], signature[:11]} {
		if proxyproto.Is([]byte(text)) {
			t.Errorf("%q is seen to be a header", text)
		}
	}
}

func TestWhatIsAppended(t *testing.T) {
	for _, c := range []struct {
		source, destination string
		line, binary        string
	}{
		{"192.0.2.1:12345", "198.51.100.2:443", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb"},
		{"[::ffff:192.0.2.1]:1", "192.0.2.2:0", "PROXY TCP4 192.0.2.1 192.0.2.2 1 0\r\n", "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x00"},
		{"[fe80::1%eth0]:1", "[::1]:2", "PROXY TCP6 fe80::1 ::1 1 2\r\n", "\x21\x21\x00\x24\xfe\x80" + strings.Repeat("\x00", 13) + "\x01" + strings.Repeat("\x00", 15) + "\x01\x00\x01\x00\x02"},
		{"192.0.2.1:1", "[::1]:2", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "\x21\x21\x00\x24" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01" + strings.Repeat("\x00", 15) + "\x01\x00\x01\x00\x02"},
		{"", "192.0.2.2:2", "PROXY UNKNOWN\r\n", "\x20\x00\x00\x00"},
	} {
		var source netip.AddrPort
		if c.source != "" {
			source = netip.MustParseAddrPort(c.source)
		}
		destination := netip.MustParseAddrPort(c.destination)
		if got := string(proxyproto.Append([]byte("x"), 1, source, destination)); got != "x"+c.line {
			t.Errorf("version 1 of %s: got %q, want %q", c.source, got[1:], c.line)
		}
		if got := string(proxyproto.Append([]byte("x"), 2, source, destination)); got != "x"+signature+c.binary {
			t.Errorf("version 2 of %s: got %q, want %q", c.source, got[1:], signature+c.binary)
		}
	}
	local, remote := netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("127.0.0.1:80")
	if got := string(proxyproto.AppendLocal(nil, 1, local, remote)); got != "PROXY TCP4 127.0.0.1 127.0.0.1 5000 80\r\n" {
		t.Errorf("version 1 of a probe: got %q", got)
	}
	if got := string(proxyproto.AppendLocal(nil, 2, local, remote)); got != signature+"\x20\x00\x00\x00" {
		t.Errorf("version 2 of a probe: got %q", got)
	}
}

func TestParseAndAppendDoNotAllocate(t *testing.T) {
	longest := netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
	full := summed(header(1, noSum, attribute(1, "h2"), attribute(2, "example.com"), ofTLS))
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := proxyproto.Parse(full); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("with attributes: %g allocations, want none", n)
	}
	dst := make([]byte, 0, 107)
	for version := 1; version <= 2; version++ {
		header := proxyproto.Append(nil, version, longest, longest)
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := proxyproto.Parse(header); err != nil {
				t.Fatal(err)
			}
			if _, _, err := proxyproto.Parse(header[:len(header)-1]); err != proxyproto.ErrMore {
				t.Fatal(err)
			}
			proxyproto.Append(dst, version, longest, longest)
		}); n != 0 {
			t.Errorf("version %d: %g allocations, want none", version, n)
		}
	}
}
