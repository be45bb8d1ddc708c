// Package clients is what programs that people use meet when they talk to Weir, and what hostile ones do: an endpoint whose
// answers can be checked from outside, and Weir as a process of its own.
package clients

import (
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Endpoint answers what clients check:
//
//	/hello        GET, HEAD  Hello, with its length
//	/echo         any        length, chunked (true or false) and sha256 of the body, with blanks between
//	/large?n=N    GET        N bytes of noise, with their length, and their SHA-256 in Digest-Hex
//	/events?run=R GET        Events server-sent events; each is sent when /seen has told of the one before
//	/seen?run=R&n=N          the client of run R has read event N
//	/gzip         GET        Text, in gzip for those who accept it
//	/trailers     GET        Hello in chunks, with the trailer field Checked: yes
//	/who          GET        the fields that say who the client is, a line each
//	/chat         GET        a WebSocket that echoes
//	/strict       GET        Hello, with the fields that tell browsers to be strict
//	/page         GET        a page whose script checks all that a browser can, and tells /report?run=R
//
// Anything else is 404.
type Endpoint struct {
	Address string // host:port

	server  *http.Server
	served  chan struct{}
	mu      sync.Mutex
	runs    map[string]*run
	reports map[string]chan string
}

const (
	// Hello is a small body.
	Hello = "hello\n"
	// Events is how many events a run of them has.
	Events = 5
	// patience bounds every wait.
	patience = 20 * time.Second
)

// Text is a body that is worth compressing.
var Text = strings.Repeat("A weir makes a river's flow even. ", 1000)

//go:embed programs/page.html
var page string

// run is a stream of events that somebody reads.
type run struct{ seen chan int }

// NewEndpoint starts an endpoint on a free port of 127.0.0.1.
func NewEndpoint() (*Endpoint, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &Endpoint{Address: ln.Addr().String(), served: make(chan struct{}), runs: map[string]*run{}, reports: map[string]chan string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, Hello) })
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/large", large)
	mux.HandleFunc("/events", e.events)
	mux.HandleFunc("/seen", e.seen)
	mux.HandleFunc("/gzip", zipped)
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/who", who)
	mux.HandleFunc("/chat", chat)
	mux.HandleFunc("/strict", strict)
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("/report", e.report)
	e.server = &http.Server{Handler: mux}
	go func() {
		defer close(e.served)
		_ = e.server.Serve(ln)
	}()
	return e, nil
}

// Close stops the endpoint.
func (e *Endpoint) Close() {
	_ = e.server.Close()
	<-e.served
}

func echo(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%d %t %s", n, r.ContentLength < 0, hex.EncodeToString(sum.Sum(nil)))
}

// Noise returns n bytes that are the same each time and that no compression makes shorter.
func Noise(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{'w'}), n) }

// Sum returns the SHA-256 of what r brings, in hexadecimal.
func Sum(r io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), err
}

func large(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum, _ := Sum(Noise(n)) // noise does not fail
	w.Header().Set("Digest-Hex", sum)
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.Copy(w, Noise(n))
}

func (e *Endpoint) run(name string) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runs[name] == nil {
		e.runs[name] = &run{make(chan int, Events)}
	}
	return e.runs[name]
}

// Seen notes that the client of a run has read event n.
func (e *Endpoint) Seen(name string, n int) { e.run(name).seen <- n }

func (e *Endpoint) seen(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.Seen(r.FormValue("run"), n)
	w.WriteHeader(http.StatusNoContent)
}

func (e *Endpoint) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	seen := e.run(r.FormValue("run")).seen
	for n := range Events {
		fmt.Fprintf(w, "data: %d\n\n", n)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case got := <-seen:
			if got != n {
				fmt.Fprintf(w, "data: event %d was seen, want %d\n\n", got, n)
				return
			}
		case <-time.After(patience):
			fmt.Fprintf(w, "data: event %d was not seen for %v\n\n", n, patience)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func zipped(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = io.WriteString(w, Text)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, Text)
	_ = z.Close()
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "Checked")
	_, _ = io.WriteString(w, Hello)
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("Checked", "yes")
}

func who(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"Forwarded", "X-Forwarded-Proto", "Client-Cert", "Via"} {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header.Values(name), ", "))
	}
}

func strict(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'self'")
	_, _ = io.WriteString(w, Hello)
}

// Report waits for what a page tells of a run.
func (e *Endpoint) Report(name string) (string, error) {
	select {
	case r := <-e.reportOf(name):
		return r, nil
	case <-time.After(patience):
		return "", fmt.Errorf("no report of run %s within %v", name, patience)
	}
}

func (e *Endpoint) reportOf(name string) chan string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reports[name] == nil {
		e.reports[name] = make(chan string, 1)
	}
	return e.reports[name]
}

func (e *Endpoint) report(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		e.reportOf(r.FormValue("run")) <- string(text)
	}
	w.WriteHeader(http.StatusNoContent)
}
