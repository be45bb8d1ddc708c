// Command reverseproxy is what net/http makes of a gateway: httputil.ReverseProxy before endpoints in turn, with the
// connections, buffers and fields that its documentation says to set. benchmarks/cost compares it.
//
//	reverseproxy FILE
//
// The first line of the file is where to serve, each other line an endpoint.
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatalf("reverseproxy: got %d arguments, want a file", len(os.Args)-1)
	}
	if os.Args[1] == "-version" {
		fmt.Println("net/http/httputil of", runtime.Version())
		return
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	lines := strings.Fields(string(text))
	if len(lines) < 2 {
		log.Fatalf("reverseproxy: %s has %d lines, want an address and endpoints", os.Args[1], len(lines))
	}
	server := &http.Server{Addr: lines[0], Handler: proxy(lines[1:]), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}

func proxy(endpoints []string) http.Handler {
	urls := make([]*url.URL, len(endpoints))
	for i, e := range endpoints {
		urls[i] = &url.URL{Scheme: "http", Host: e}
	}
	var turn atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(urls[turn.Add(1)%uint64(len(urls))])
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			MaxIdleConns:          0, // no limit
			MaxIdleConnsPerHost:   1024,
			IdleConnTimeout:       time.Minute,
			ResponseHeaderTimeout: 30 * time.Second,
			DisableCompression:    true,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}
}

type buffers struct{ p sync.Pool }

func (b *buffers) Get() []byte { return b.p.Get().(*[32 << 10]byte)[:] }

func (b *buffers) Put(s []byte) { b.p.Put((*[32 << 10]byte)(s)) }
