package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/internal/grammar"
)

// unit separates names and values of fields in what FuzzHTTP2 gets.
const unit = "\x1f"

// shape says in which frames a request of HTTP/2 comes.
type shape uint8

const (
	endsWithHead    shape = 1 << iota // if there is no body
	continued                         // the block of fields goes on in CONTINUATION
	inPieces                          // the body is in two frames of DATA
	padded                            // which have padding
	endsWithNothing                   // an empty frame of DATA ends the body
)

// write writes a request on stream 1.
func (s shape) write(fields []string, content string, trailers []string) string {
	head, flags := block(fields...), byte(blockEnds)
	over := content == "" && len(trailers) == 0 && s&endsWithHead != 0
	if over {
		flags |= streamEnds
	}
	var b string
	if n := len(head) / 2; s&continued != 0 {
		b = frame(headersFrame, flags&^blockEnds, 1, head[:n]) + frame(continuationFrame, blockEnds, 1, head[n:])
	} else {
		b = frame(headersFrame, flags, 1, head)
	}
	if over {
		return b
	}
	pieces := []string{content}
	if n := len(content) / 2; s&inPieces != 0 {
		pieces = []string{content[:n], content[n:]}
	}
	if s&endsWithNothing != 0 {
		pieces = append(pieces, "")
	}
	for i, p := range pieces {
		flags := byte(0)
		if len(trailers) == 0 && i == len(pieces)-1 {
			flags = streamEnds
		}
		if s&padded != 0 {
			flags |= isPadded
			p = "\x03" + p + "\x00\x00\x00"
		}
		b += frame(dataFrame, flags, 1, p)
	}
	if len(trailers) > 0 {
		b += frame(headersFrame, streamEnds|blockEnds, 1, block(trailers...))
	}
	return b
}

// meant says what a request of HTTP/2 asks for, and false if it is malformed in a way that two readers might take differently
// (RFC 9113, sections 8.1.1, 8.2 and 8.3).
func meant(fields []string, body string) (want witnessed, ok bool) {
	pseudo, regular := map[string]string{}, false
	want.header = http.Header{}
	var lengths, hosts, cookies []string
	for i := 0; i+1 < len(fields); i += 2 {
		name, value := fields[i], fields[i+1]
		if strings.ContainsAny(value, "\r\n\x00") || name == "" || strings.ToLower(name) != name {
			return want, false
		}
		if name[0] == ':' {
			_, again := pseudo[name]
			if again || regular {
				return want, false
			}
			pseudo[name] = value
			continue
		}
		regular = true
		for _, b := range []byte(name) {
			if !grammar.InToken[b] {
				return want, false
			}
		}
		switch name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return want, false
		case "content-length":
			lengths = append(lengths, value)
		case "host":
			hosts = append(hosts, value)
		case "cookie":
			cookies = append(cookies, value)
		}
		if names.Find([]byte(name)) == otherField {
			name = http.CanonicalHeaderKey(name)
			want.header[name] = append(want.header[name], strings.Trim(value, " \t"))
		}
	}
	want.method, want.target, want.host, want.body = pseudo[":method"], pseudo[":path"], pseudo[":authority"], body
	if want.host == "" && len(hosts) > 0 {
		want.host = hosts[0]
	}
	for _, h := range hosts {
		if !strings.EqualFold(h, want.host) {
			return want, false
		}
	}
	for _, n := range lengths {
		if n != strconv.Itoa(len(body)) || len(lengths) > 1 {
			return want, false
		}
	}
	if len(cookies) > 0 {
		want.header["Cookie"] = []string{strings.Trim(strings.Join(cookies, "; "), " \t")}
	}
	for name := range pseudo {
		if !slices.Contains([]string{":method", ":scheme", ":authority", ":path"}, name) {
			return want, false
		}
	}
	rooted := strings.HasPrefix(want.target, "/") || want.target == "*" && want.method == http.MethodOptions
	return want, want.method != "" && pseudo[":scheme"] != "" && rooted
}

// FuzzHTTP2 sends a request of HTTP/2 to a gateway, in any frames. It is refused, or what net/http reads at an endpoint of
// HTTP/1 is that request and no other, with its fields and none that it did not have.
func FuzzHTTP2(f *testing.F) {
	const get = ":method\x1fGET\x1f:scheme\x1fhttp\x1f:authority\x1fa\x1f:path\x1f/a?b=c"
	const post = ":method\x1fPOST\x1f:scheme\x1fhttp\x1f:authority\x1fa\x1f:path\x1f/"
	for _, s := range []struct {
		fields, body, trailers string
		shape                  shape
	}{
		{get, "", "", endsWithHead},
		{get + "\x1fcookie\x1fa=b\x1fcookie\x1fc=d\x1fx-a\x1fb\x1fx-a\x1f c\t", "", "", endsWithHead | continued},
		{post + "\x1fcontent-length\x1f3", "abc", "", inPieces},
		{post, "abc", "", padded | endsWithNothing},
		{post + "\x1ftrailer\x1fx-t\x1fte\x1ftrailers", "abc", "x-t\x1fu", inPieces},
		{post + "\x1fcontent-length\x1f3", "abcd", "", 0},
		{post + "\x1fcontent-length\x1f3\x1fcontent-length\x1f4", "abc", "", 0},
		{post + "\x1fcontent-length\x1f3", "abcdefg", "", inPieces},
		{post + "\x1fcontent-length\x1f3", "abc", "X\x1fy", 0},
		{post + "\x1fcontent-length\x1f+3", "", "", 0},
		{post + "\x1fcontent-length\x1f3", "", "", endsWithHead},
		{post + "\x1ftransfer-encoding\x1fchunked", "0\r\n\r\n", "", 0},
		{get + "\x1fhost\x1fb", "", "", endsWithHead},
		{":method\x1fGET\x1f:scheme\x1fhttp\x1f:path\x1f/\x1fhost\x1fb\x1fhost\x1fc", "", "", endsWithHead},
		{":method\x1fGET\x1f:scheme\x1fhttp\x1f:authority\x1fa\x1f:path\x1fhttp://b/c", "", "", endsWithHead},
		{":method\x1fGET\x1f:scheme\x1fhttps\x1f:authority\x1fa@b\x1f:path\x1f/ HTTP/1.1\r\nx: y", "", "", endsWithHead},
		{":method\x1fGET / HTTP/1.1\r\nHost: b\r\n\r\nGET\x1f:scheme\x1fhttp\x1f:authority\x1fa\x1f:path\x1f/", "", "", endsWithHead},
		{":method\x1fOPTIONS\x1f:scheme\x1fhttp\x1f:authority\x1fa\x1f:path\x1f*\x1fmax-forwards\x1f3", "", "", endsWithHead},
		{":method\x1fCONNECT\x1f:authority\x1fa:80\x1f:protocol\x1fwebsocket", "abc", "", 0},
		{post + "\x1fx\x1fa\r\nContent-Length: 3\x1fx y\x1fz\x1fX-A\x1fb\x1fcontent_length\x1f3\x1fexpect\x1f100-continue", "abc", "content-length\x1f3", 0},
		{get + "\x1fpragma\x1fno-cache\x1fx-forwarded-for\x1f1.2.3.4\x1fvia\x1f1.1 b\x1fforwarded\x1ffor=b", "", "", endsWithHead},
	} {
		f.Add(s.fields, s.body, s.trailers, uint8(s.shape))
	}
	w := newWitness(f)
	g := startAt(f, options{config: Config{H2C: true}}, w.ln.Addr().String())
	var run atomic.Uint64
	f.Fuzz(func(t *testing.T, fields, body, trailers string, how uint8) {
		all, last := strings.Split(fields, unit), strings.Split(trailers, unit)
		if trailers == "" {
			last = nil
		}
		if len(all)%2 != 0 || len(last)%2 != 0 || len(fields)+len(trailers) > 8<<10 || len(body) > 8<<10 {
			return // one frame each
		}
		number := fmt.Sprint(run.Add(1))
		w.mu.Lock()
		w.seen, w.odd = nil, nil
		w.mu.Unlock()
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(nc, preface2+frame(settingsFrame, 0, 0, "")+shape(how).write(append(all, "x-run", number), body, last))
		answered := false
		for br := bufio.NewReader(nc); ; {
			f, err := read2(br)
			if isTimeout(err) {
				t.Fatal("neither an answer nor the end")
			}
			answered = answered || f.kind == headersFrame
			if err != nil || f.kind == goAwayFrame || f.stream == 1 && (f.kind == resetFrame || f.flags&streamEnds != 0) {
				break
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.odd) > 0 {
			t.Fatalf("net/http cannot read what the endpoint got, or finds more behind it: %q", w.odd)
		}
		mine := slices.DeleteFunc(w.seen, func(s witnessed) bool { return s.header.Get("X-Run") != number })
		if len(mine) == 0 {
			return
		}
		want, ok := meant(all, body)
		if !ok || len(mine) > 1 || !answered {
			t.Fatalf("the endpoint got %+v; answered: %v, and the request is sound: %v", mine, answered, ok)
		}
		s := mine[0]
		want.header.Set("X-Run", number)
		for name := range s.header {
			if names.Find([]byte(name)) != otherField && name != "Cookie" {
				delete(s.header, name) // it is ours, or was taken for one of ours
			}
		}
		for _, h := range []http.Header{s.header, want.header} {
			delete(h, "Pragma") // net/http makes a Cache-Control of it
			delete(h, "Cache-Control")
		}
		if s.forwarded != want.forwarded || !maps.EqualFunc(s.header, want.header, slices.Equal[[]string]) {
			t.Fatalf("the endpoint got %+v\nwant %+v", s, want)
		}
		for name, values := range s.trailer {
			for _, v := range values {
				if i := slices.Index(last, strings.ToLower(name)); i < 0 || !strings.Contains(trailers, v) || !mayTrail([]byte(name)) {
					t.Fatalf("the endpoint got the trailer %s: %q", name, v)
				}
			}
		}
	})
}
