package proxyproto_test

import (
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"net"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/proxyproto"
)

// line is version 1 once more, as a pattern: what it cannot say of addresses and ports, lineIsGood does.
var line = regexp.MustCompile(`^PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n`)

func lineIsGood(text []byte) (length int, good bool) {
	m := line.FindSubmatch([]byte(latin(text)))
	if m == nil {
		return 0, false
	}
	if len(m[1]) > 0 {
		for _, address := range m[2:4] {
			if ip := net.ParseIP(string(address)); ip == nil || strings.Contains(string(address), ":") != (m[1][0] == '6') {
				return 0, false
			}
		}
		for _, port := range m[4:6] {
			if n, _ := new(big.Int).SetString(string(port), 10); n.Cmp(big.NewInt(65535)) > 0 {
				return 0, false
			}
		}
	}
	length = strings.Index(string(text), "\n") + 1
	return length, length <= 107
}

// latin makes of every byte a character, so that patterns count them.
func latin(text []byte) string {
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return string(runes)
}

// FuzzParse holds, for any bytes: no panic; the verdict on a part is that on the whole, or that more is needed; nothing
// behind the header counts; a line is good if a pattern says so; a checksum is that of the header; what is read can be
// written, in both versions, and reads the same.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		text = text[:min(len(text), proxyproto.MaxHeader+64)]
		h, n, err := proxyproto.Parse(text)
		if n < 0 || n > min(len(text), proxyproto.MaxHeader) || (n > 0) != (err == nil) {
			t.Fatalf("%q: %d bytes, %v", text, n, err)
		}
		if err == proxyproto.ErrMore && len(text) >= proxyproto.MaxHeader {
			t.Fatalf("%q: more is wanted than a header can have", text)
		}
		if err != nil && !reflect.ValueOf(h).IsZero() {
			t.Fatalf("%q: %+v with %v", text, h, err)
		}
		parts(t, text, n, err)
		if strings.HasPrefix(string(text), "PROXY ") {
			if length, good := lineIsGood(text); good != (err == nil) || good && length != n {
				t.Fatalf("%q: %d bytes, %v; by the pattern it is %t, %d bytes", text, n, err, good, length)
			}
		}
		if err != nil {
			return
		}
		if again, m, err := proxyproto.Parse(append(text[:n:n], "\xff\x03\r\n"...)); err != nil || m != n || !reflect.DeepEqual(again, h) {
			t.Fatalf("%q: %+v; with other bytes behind it %+v, %d bytes, %v", text[:n], h, again, m, err)
		}
		checksum(t, text[:n], h)
		if !h.Source.IsValid() {
			return
		}
		for version := 1; version <= 2; version++ {
			wire := proxyproto.Append(nil, version, h.Source, h.Destination)
			again, m, err := proxyproto.Parse(wire)
			if err != nil || m != len(wire) || again.Source != h.Source || again.Destination != h.Destination || again.Version != version {
				t.Fatalf("%q was written as %q, which reads %+v, %d bytes, %v", text[:n], wire, again, m, err)
			}
		}
	})
}

// parts parses all that text can be cut to: each part says that more is needed, until one says what the whole does.
func parts(t *testing.T, text []byte, n int, whole error) {
	decided := false
	for k := range text {
		_, m, err := proxyproto.Parse(text[:k:k])
		if err == proxyproto.ErrMore && !decided && (whole != nil || k < n) {
			continue
		}
		decided = true
		if verdict(err) != verdict(whole) || m != n || m > k {
			t.Fatalf("%q: %d bytes, %v; of its first %d: %d bytes, %v", text, n, whole, k, m, err)
		}
	}
}

func verdict(err error) string {
	switch err {
	case nil:
		return "good"
	case proxyproto.ErrMore, proxyproto.ErrNone:
		return err.Error()
	}
	return "bad"
}

// checksum looks for a checksum by itself, where attributes count.
func checksum(t *testing.T, header []byte, h proxyproto.Header) {
	if h.Version != 2 || h.Local || header[13] == 0 {
		return
	}
	for at := 16 + map[byte]int{1: 12, 2: 36, 3: 216}[header[13]>>4]; at+3 <= len(header); {
		size := int(binary.BigEndian.Uint16(header[at+1:]))
		if header[at] == 3 {
			zeroed := []byte(string(header))
			clear(zeroed[at+3 : at+7])
			if want := crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)); size != 4 || binary.BigEndian.Uint32(header[at+3:]) != want {
				t.Fatalf("%q is accepted, want the checksum %08x", header, want)
			}
		}
		at += 3 + size
	}
}
