package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What an endpoint does wrong when it is told to.
const (
	well        = "well"
	refuses     = "refuses"      // closes its socket and its connections
	resetsFirst = "resets-first" // RST instead of a response; every other request was executed all the same
	resetsHead  = "resets-head"  // RST within the head
	resetsBody  = "resets-body"  // RST within the body
	slow        = "slow"         // a second late; its health check is as quick as ever
	fails       = "fails"        // 503; its health check answers 200
	babbles     = "babbles"      // what is not HTTP
)

// How late a slow endpoint is, and how long one that is told to end waits for its responses.
const (
	lateBy     = time.Second
	drainsFor  = 2 * time.Second
	halfOfBody = 16 << 10
)

// endpoint is the process that gateways send requests to. It writes down each POST twice: "r ID" as soon as it has read the
// head, "x ID" as soon as it has executed it. What is written survives the process.
type endpoint struct {
	name, address string
	log           *os.File
	mode          atomic.Pointer[string]

	mu  sync.Mutex
	srv *http.Server // nil while it refuses
}

// serveEndpoint is the main function of an endpoint: it serves at address, and at control what [endpoint.control] says,
// prints a line when it does, and ends with SIGTERM or with its standard input.
func serveEndpoint(name, address, control, log string) error {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	e := &endpoint{name: name, address: address, log: f}
	if err := e.become(well); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", control)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() { _ = http.Serve(ln, http.HandlerFunc(e.control)) }()
	<-terminated
	ctx, cancel := context.WithTimeout(context.Background(), drainsFor)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv != nil {
		return e.srv.Shutdown(ctx)
	}
	return nil
}

// control makes the endpoint do what the path names.
func (e *endpoint) control(w http.ResponseWriter, r *http.Request) {
	if err := e.become(strings.TrimPrefix(r.URL.Path, "/")); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (e *endpoint) become(mode string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mode.Store(&mode)
	switch {
	case mode == refuses && e.srv != nil:
		err := e.srv.Close()
		e.srv = nil
		return err
	case mode != refuses && e.srv == nil:
		ln, err := net.Listen("tcp", e.address)
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: e}
		go func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}()
		e.srv = srv
	}
	return nil
}

// ServeHTTP answers GET and POST /r/ID with the ID and padding, and GET /healthz.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := *e.mode.Load()
	id, isRequest := strings.CutPrefix(r.URL.Path, "/r/")
	if !isRequest && (mode == slow || mode == fails) {
		mode = well
	}
	post := r.Method == http.MethodPost
	if post {
		e.note("r", id)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
	}
	if n, _ := strconv.Atoi(id); post && (mode != resetsFirst || n%2 == 0) && mode != fails {
		e.note("x", id)
	}
	w.Header().Set("X-Endpoint", e.name)
	switch mode {
	case slow:
		time.Sleep(lateBy)
	case fails:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	case resetsFirst:
		breakOff(w, "")
		return
	case resetsHead:
		breakOff(w, "HTTP/1.1 200 OK\r\nX-Endpoint: "+e.name+"\r\nContent-Le")
		return
	case resetsBody:
		breakOff(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Endpoint: %s\r\nContent-Length: %d\r\n\r\n%s", e.name, 2*halfOfBody, strings.Repeat("x", halfOfBody)))
		return
	case babbles:
		breakOff(w, "\x16\x03\x01\x02\x00 I beg your pardon\r\n\r\n")
		return
	}
	_, _ = io.WriteString(w, id+padding)
}

var padding = " " + strings.Repeat("x", 512)

// note writes one line down, in one write.
func (e *endpoint) note(what, id string) {
	if _, err := e.log.WriteString(what + " " + id + "\n"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// breakOff sends some bytes in place of a response, and resets the connection once they have had time to arrive.
func breakOff(w http.ResponseWriter, text string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if text != "" {
		_, _ = io.WriteString(c, text)
		time.Sleep(2 * time.Millisecond)
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
