//go:build linux

package cost

import (
	"cmp"
	"fmt"
)

// Load is what clients ask of a gateway.
type Load struct {
	Name        string
	Title       string // for the chart; Name if empty
	Connections int
	Rate        int    // requests a second in all; 0: as many as are answered
	Turns       bool   // with a rate: every connection has its turn; otherwise the one that was free last goes first
	Body        int    // bytes of each response; 0: 1 KiB
	Path        string // "/" if empty
	Fields      string // lines that each request has besides Host
	Host        string // www.example.com if empty
	Bytes       bool   // what counts is bytes, not requests
	TLS         bool   // 1.3, any certificate is good; without a rate
	Handshakes  bool   // with TLS: a connection for each request, and no session resumed
}

// Browser has the fields of a request that a browser makes for a page it has been to, about 750 bytes.
const Browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"Cookie: session=4c1f6a2be09d4d5c9a3e7b18f2d60c55; theme=dark; consent=yes\r\n" +
	"Referer: https://www.example.com/articles/2026/11/\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Sec-Fetch-User: ?1\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n"

// Loads are those that gateways are compared under.
var Loads = []Load{
	{Name: "c64", Title: "64 connections", Connections: 64},
	{Name: "c64 browser", Title: "64 connections, 12 fields of a browser", Connections: 64, Fields: Browser},
	{Name: "c512", Title: "512 connections", Connections: 512},
	{Name: "5k/s", Title: "5,000 requests a second", Connections: 64, Rate: 5000},
	{Name: "20k/s", Title: "20,000 requests a second", Connections: 64, Rate: 20000},
	{Name: "1 MiB", Title: "responses of 1 MiB", Connections: 64, Body: 1 << 20, Bytes: true},
}

// SecureLoads are those over TLS 1.3.
var SecureLoads = []Load{
	{Name: "TLS c64", Title: "TLS 1.3, 64 connections", Connections: 64, TLS: true},
	{Name: "TLS handshakes", Title: "TLS 1.3, a handshake each", Connections: 16, TLS: true, Handshakes: true, Fields: "Connection: close\r\n"},
	{Name: "TLS 1 MiB", Title: "TLS 1.3, responses of 1 MiB", Connections: 16, Body: 1 << 20, TLS: true, Bytes: true},
}

func (l *Load) dial(address string) (traffic, error) {
	if l.TLS {
		return dialTLS(address, l)
	}
	return dial(address, l)
}

func (l *Load) request() []byte {
	path := cmp.Or(l.Path, "/")
	if l.Body != 0 {
		path += fmt.Sprintf("?body=%d", l.Body)
	}
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + cmp.Or(l.Host, "www.example.com") + "\r\n" + l.Fields + "\r\n")
}

// body is the size of a response's.
func (l *Load) body() int {
	return cmp.Or(l.Body, defaultBody)
}
