package proxyproto_test

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

// header is one of version 2 with the attributes, for a client over IPv4.
func header(command byte, attributes ...string) []byte {
	payload := strings.Repeat("\x0a\x00\x00\x01", 3) + strings.Join(attributes, "")
	h := append([]byte(signature), 0x20|command, 0x11)
	return append(binary.BigEndian.AppendUint16(h, uint16(len(payload))), payload...)
}

func attribute(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed puts its checksum into a header that has 0 for it.
func summed(h []byte) []byte {
	at := strings.Index(string(h), "\x03\x00\x04\x00\x00\x00\x00") + 3
	binary.BigEndian.PutUint32(h[at:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	return h
}

var (
	noSum = attribute(3, "\x00\x00\x00\x00")
	ofTLS = attribute(0x20, "\x07\x00\x00\x00\x00"+attribute(0x21, "TLSv1.3")+attribute(0x22, "alice")+attribute(0x25, "EC256")+attribute(0x23, "TLS_AES_128_GCM_SHA256"))
)

func TestAttributesAreRead(t *testing.T) {
	buf := summed(header(1, attribute(4, "xx"), attribute(1, "h2"), noSum, attribute(2, "example.com"), attribute(5, "id"), ofTLS, attribute(0x30, "ns"), attribute(0xe0, "")))
	h, n, err := proxyproto.Parse(buf)
	if err != nil || n != len(buf) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if string(h.ALPN) != "h2" || string(h.Authority) != "example.com" || string(h.UniqueID) != "id" || h.Source.String() != "10.0.0.1:2560" {
		t.Errorf("got %+v", h)
	}
	s := h.TLS
	if !s.Used || !s.Certificate || !s.Verified || string(s.Version) != "TLSv1.3" || string(s.CommonName) != "alice" || string(s.Cipher) != "TLS_AES_128_GCM_SHA256" {
		t.Errorf("got %+v", s)
	}
}

// TestWhatHAProxySendsIsRead has a header that HAProxy 2.6.12 sent with send-proxy-v2 and the options ssl, cert-cn, ssl-cipher,
// cert-sig, cert-key, authority, crc32c and unique-id.
func TestWhatHAProxySendsIsRead(t *testing.T) {
	const sent = signature + "\x21\x11\x00\x7e\x7f\x00\x00\x01\x7f\x00\x00\x01\xde\x1c\x4b\xca\x03\x00\x04\xfc\x20\xc6\xb9\x02\x00\x0bexample.com" +
		"\x05\x00\x0bid-6B0452E5\x20\x00\x4c\x07\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x05alice\x25\x00\x05EC256\x24\x00\x11ecdsa-with-SHA256" +
		"\x23\x00\x16TLS_AES_256_GCM_SHA384"
	h, n, err := proxyproto.Parse([]byte(sent + after))
	if err != nil || n != len(sent) || h.Source.String() != "127.0.0.1:56860" || h.Destination.String() != "127.0.0.1:19402" {
		t.Fatalf("got %+v, %d bytes, %v", h, n, err)
	}
	if string(h.Authority) != "example.com" || string(h.UniqueID) != "id-6B0452E5" || !h.TLS.Verified || string(h.TLS.CommonName) != "alice" {
		t.Errorf("got %+v", h)
	}
}

func TestACertificateIsVerifiedOnlyIfThereIsOne(t *testing.T) {
	for value, want := range map[string]proxyproto.TLS{
		"\x01\x00\x00\x00\x00": {Used: true},
		"\x03\x00\x00\x00\x00": {Used: true, Certificate: true, Verified: true},
		"\x05\x00\x00\x00\x00": {Used: true, Certificate: true, Verified: true},
		"\x03\x00\x00\x00\x0a": {Used: true, Certificate: true},
		"\x00\x00\x00\x00\x00": {},
	} {
		h, _, err := proxyproto.Parse(header(1, attribute(0x20, value)))
		got := h.TLS
		if err != nil || got.Used != want.Used || got.Certificate != want.Certificate || got.Verified != want.Verified {
			t.Errorf("%q: got %+v, %v, want %+v", value, got, err, want)
		}
	}
}

func TestEveryBitThatIsFlippedIsSeenByTheChecksum(t *testing.T) {
	for _, command := range []byte{0, 1} {
		good := summed(header(command, noSum, attribute(2, "example.com")))
		if _, _, err := proxyproto.Parse(good); err != nil {
			t.Fatal(err)
		}
		for bit := 12 * 8; bit < len(good)*8; bit++ {
			bad := []byte(string(good))
			bad[bit/8] ^= 1 << (bit % 8)
			h, _, err := proxyproto.Parse(bad)
			if err != nil {
				continue
			}
			// What a flip can do unseen: hide the checksum itself, or the attributes of a header that is ignored.
			if hidden := bit/8 >= 28 && bit/8 <= 30; command == 1 && !hidden || command == 0 && (h.Source.IsValid() || h.Authority != nil) {
				t.Errorf("bit %d of command %d: got %+v", bit, command, h)
			}
		}
	}
}

func TestAttributesOfLocalAreIgnored(t *testing.T) {
	h, _, err := proxyproto.Parse(header(0, attribute(2, "example.com"), "\xff"))
	if err != nil || h.Authority != nil || h.Source.IsValid() || !h.Local {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, _, err := proxyproto.Parse(header(0, attribute(3, "none"))); err == nil {
		t.Error("accepted with a wrong checksum")
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ attributes, want string }{
		{"\x02\x00", "got 2 bytes after the last attribute, want none"},
		{"\x02\x00\x02a", "got 1 bytes of attribute 0x02, want 2"},
		{attribute(1, "a") + attribute(1, ""), "got a second ALPN, want one"},
		{attribute(2, "") + attribute(2, "a"), "got a second authority, want one"},
		{attribute(5, "a") + attribute(5, "a"), "got a second unique ID, want one"},
		{attribute(5, ""), "got a unique ID of 0 bytes, want 1..128"},
		{attribute(5, long), "got a unique ID of 129 bytes, want 1..128"},
		{attribute(3, "abc"), "got a CRC32c of 3 bytes, or a second one, want one of 4"},
		{noSum + noSum, "got a CRC32c of 4 bytes, or a second one, want one of 4"},
		{noSum, "got another CRC32c than its bytes have, want it whole"},
		{attribute(0x20, "\x01\x00\x00\x00"), "got 4 bytes about TLS, want 5 at least"},
		{attribute(0x20, "\x00\x00\x00\x00\x00") + ofTLS, "got a second attribute about TLS, want one"},
		{attribute(0x20, "\x01\x00\x00\x00\x00\x21"), "got 1 bytes after the last attribute, want none"},
		{attribute(0x20, "\x01\x00\x00\x00\x00"+attribute(0x22, "a")+attribute(0x22, "b")), "got a second common name, want one"},
	} {
		if _, n, err := proxyproto.Parse(header(1, c.attributes)); err == nil || err.Error() != "PROXY header: "+c.want || n != 0 {
			t.Errorf("%q: got %d bytes, %v, want %s", c.attributes, n, err, c.want)
		}
	}
}
