package clients

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

var streamOutput = flag.String("streaming", "", "file that gets what streams cost; bodies have 10 GiB then, else 256 MiB")

// streams is an endpoint of streams.
//
//	/stamps?n=N&type=T GET  N pieces, each the time at which it was written, with pauses of 2 ms; the type of the content is T
//	/zeros?n=N         GET  N bytes, with their length
//	/count             PUT  the length of the body
//	/poll?for=D        GET  the word late, after D
func streams() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/stamps", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.FormValue("type"))
		n, _ := strconv.Atoi(r.FormValue("n"))
		control := http.NewResponseController(w)
		for tick := time.Tick(2 * time.Millisecond); n > 0; n-- {
			<-tick
			fmt.Fprintf(w, "data: %d\n\n", time.Since(began))
			_ = control.Flush()
		}
	})
	mux.HandleFunc("/zeros", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.FormValue("n"), 10, 64)
		w.Header().Set("Content-Length", r.FormValue("n"))
		_, _ = io.CopyN(w, zeros{}, n)
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/poll", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("for"))
		select {
		case <-time.After(d):
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	})
	return mux
}

// began is what stamps count from: endpoint and client are one process, and its clock does not go back.
var began = time.Now()

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// streamer is a client of one way, on one connection.
func streamer(t *testing.T, s *site, w way) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: s.roots.Clone(), DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}
	transport.Protocols.SetHTTP1(w == plain1 || w == tls1)
	transport.Protocols.SetHTTP2(w == tls2)
	transport.Protocols.SetUnencryptedHTTP2(w == plain2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// streamSite is a gateway before an endpoint of streams that speaks HTTP/1, and HTTP/2 under /2.
func streamSite(t *testing.T) (s *site, endpoint string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &http.Server{Handler: streams(), Protocols: new(http.Protocols)}
	e.Protocols.SetHTTP1(true)
	e.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	t.Cleanup(func() {
		_ = e.Close()
		<-served
	})
	s = &site{dir: t.TempDir()}
	ca := gatewaytest.NewAuthority(t, "clients of weir")
	cert, key := ca.Issue(t, gatewaytest.Leaf{Common: "site", Names: []string{"localhost"}})
	s.put(t, "site.pem", cert)
	s.put(t, "site.key", key)
	s.roots = &tls.Config{RootCAs: ca.Pool}
	s.gateway, err = StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}]}}
http: {h2c: true}
wasm: {cache_dir: ""}
clusters:
  one: {endpoints: [{address: %[1]q}], timeout: 2m}
  two: {endpoints: [{address: %[1]q}], http2: true}
routes:
  - {cluster: one}
  - {path: /2, cluster: two, strip_prefix: /2}
`, ln.Addr()))
	must(t, err)
	t.Cleanup(s.gateway.Kill)
	return s, ln.Addr().String()
}

// TestStreaming: pieces of bodies come as they were sent, one by one and in order, and bodies of any length pass in a bounded
// memory. With -streaming it measures how late they come, and passes 10 GiB.
func TestStreaming(t *testing.T) {
	const most = 64 << 20 // bytes by which the gateway may grow, whatever passes
	size, pieces, poll := int64(256<<20), 100, 100*time.Millisecond
	if *streamOutput != "" {
		size, pieces, poll = 10<<30, 1000, 35*time.Second
	}
	s, endpoint := streamSite(t)
	before, err := s.gateway.Memory()
	must(t, err)
	report := []string{
		"Streams through Weir, benchmarks/clients. Made by `make streaming`.",
		fmt.Sprintf("%s, %d CPUs, on which client and endpoint run as well. Late: from the endpoint's write to the client's read, %d pieces 2 ms apart.", runtime.Version(), runtime.NumCPU(), pieces),
		"", "late, to the client by   endpoint   what            p50        p99        max",
	}
	say := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		report = append(report, line)
		t.Log(line)
	}
	ways := []way{plain1, tls1, plain2, tls2}
	direct, err := stamps(streamer(t, s, plain1), "http://"+endpoint, "text/plain", pieces)
	must(t, err)
	row(say, "without a gateway", "HTTP/1.1", "chunks", direct)
	ends := map[string]string{"": "HTTP/1.1", "/2": "HTTP/2"}
	for _, w := range ways {
		c := streamer(t, s, w)
		for _, prefix := range []string{"", "/2"} {
			for _, kind := range []string{"text/event-stream", "text/plain"} {
				late, err := stamps(c, s.base(w)+prefix, kind, pieces)
				must(t, err)
				row(say, string(w), ends[prefix], map[string]string{"text/event-stream": "events", "text/plain": "chunks"}[kind], late)
			}
		}
	}
	say("\n%-24s %-10s %-6s %9s %11s %16s", "body of "+sizeOf(size)+", by", "endpoint", "way", "seconds", "CPU s/GiB", "memory grew by")
	for _, b := range []struct {
		way
		prefix string
	}{{plain1, ""}, {tls1, ""}, {tls2, ""}, {tls2, "/2"}} {
		for _, up := range []bool{false, true} {
			c := streamer(t, s, b.way)
			must(t, s.gateway.ResetPeak())
			cpu, err := s.gateway.CPU()
			must(t, err)
			start := time.Now()
			must(t, transfer(c, s.base(b.way)+b.prefix, up, size))
			took := time.Since(start)
			spent, err := s.gateway.CPU()
			must(t, err)
			after, err := s.gateway.Memory()
			must(t, err)
			grown := after.Peak - before.Resident
			say("%-24s %-10s %-6s %9.1f %11.2f %12d KiB", b.way, ends[b.prefix], map[bool]string{false: "down", true: "up"}[up],
				took.Seconds(), (spent-cpu).Seconds()/float64(size)*(1<<30), grown>>10)
			if grown > most {
				t.Errorf("the gateway grew by %d bytes; want %d at most", grown, most)
			}
		}
	}
	say("\nlong poll of %v, by", poll)
	results := make(chan string)
	for _, w := range ways {
		go func() {
			start := time.Now()
			text, err := get(streamer(t, s, w), s.base(w)+"/poll?for="+poll.String())
			results <- fmt.Sprintf("%-24s answered after %v: %q, %v", w, time.Since(start).Round(10*time.Millisecond), text, err)
		}()
	}
	lines := []string{<-results, <-results, <-results, <-results}
	slices.Sort(lines)
	for _, l := range lines {
		say("%s", l)
		if !strings.HasSuffix(l, `"late", <nil>`) {
			t.Error(l)
		}
	}
	if *streamOutput != "" && !t.Failed() {
		must(t, os.WriteFile(*streamOutput, []byte(strings.Join(report, "\n")+"\n"), 0o644))
	}
}

// row says how late pieces came, in order of that.
func row(say func(string, ...any), to, endpoint, what string, late []time.Duration) {
	at := func(i int) time.Duration { return late[i].Round(time.Microsecond) }
	say("%-24s %-10s %-10s %10v %10v %10v", to, endpoint, what, at(len(late)/2), at(len(late)*99/100), at(len(late)-1))
}

func sizeOf(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// stamps reads n pieces and returns how late each came, in order of that.
func stamps(c *http.Client, base, kind string, n int) (late []time.Duration, err error) {
	r, err := c.Get(fmt.Sprintf("%s/stamps?n=%d&type=%s", base, n, kind))
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	last := time.Duration(0)
	for br := bufio.NewReader(r.Body); ; {
		line, err := br.ReadString('\n')
		now := time.Since(began)
		if err == io.EOF && line == "" {
			break
		}
		if line == "\n" {
			continue
		}
		var sent time.Duration
		if _, scanned := fmt.Sscanf(line, "data: %d\n", &sent); err != nil || scanned != nil || sent <= last {
			return nil, fmt.Errorf("after %d pieces: %q, %v", len(late), line, err)
		}
		last = sent
		late = append(late, now-sent)
	}
	if len(late) != n {
		return nil, fmt.Errorf("got %d pieces; want %d", len(late), n)
	}
	slices.Sort(late)
	return late, nil
}

// transfer passes n bytes to the endpoint, or from it.
func transfer(c *http.Client, base string, up bool, n int64) error {
	if up {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, base+"/count", io.LimitReader(zeros{}, n))
		if err != nil {
			return err
		}
		r.ContentLength = n
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(n) {
			return fmt.Errorf("the endpoint counted %q, %v; want %d", b, err, n)
		}
		return nil
	}
	r, err := c.Get(fmt.Sprintf("%s/zeros?n=%d", base, n))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if got, err := io.Copy(io.Discard, r.Body); got != n || err != nil {
		return fmt.Errorf("got %d bytes, %v; want %d", got, err, n)
	}
	return nil
}

func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}
