package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestMain lets the test binary be, beside the tests, the real weir process and a real endpoint process, so that both
// can be signalled, stopped and killed.
func TestMain(m *testing.M) {
	switch os.Getenv("WEIR_TEST_PROCESS") {
	case "weir":
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	case "endpoint":
		serveTestEndpoint()
	}
	os.Exit(m.Run())
}

// serveTestEndpoint answers GETs with its name, notes every POST it executes, and can be told to answer another status.
func serveTestEndpoint() {
	name, address := os.Args[1], os.Args[2]
	var status atomic.Int32
	status.Store(http.StatusOK)
	var mu sync.Mutex
	executed := map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("/-/status/", func(_ http.ResponseWriter, r *http.Request) {
		var code int32
		_, _ = fmt.Sscanf(r.URL.Path, "/-/status/%d", &code)
		status.Store(code)
	})
	mux.HandleFunc("/-/executed", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(executed)
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		var n int64
		_, _ = fmt.Sscanf(r.URL.RawQuery, "n=%d", &n)
		if r.URL.Query().Get("n") != "" && !strings.Contains(r.URL.RawQuery, "chunked") {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		block := make([]byte, 64<<10)
		for n > 0 {
			k, err := w.Write(block[:min(n, int64(len(block)))])
			if err != nil {
				return
			}
			n -= int64(k)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Endpoint", name)
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			executed[string(body)]++
			mu.Unlock()
		}
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, name)
	})
	ln, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the test is gone
		os.Exit(0)
	}()
	_ = http.Serve(ln, mux)
	os.Exit(1)
}

// endpointProcess is an endpoint that can be killed, stopped and started again on its port.
type endpointProcess struct {
	t             *testing.T
	name, address string
	cmd           *exec.Cmd
}

func startEndpoint(t *testing.T, name string) *endpointProcess {
	t.Helper()
	e := &endpointProcess{t: t, name: name, address: "127.0.0.1:0"}
	e.start()
	t.Cleanup(e.kill)
	return e
}

func (e *endpointProcess) start() {
	e.t.Helper()
	e.cmd = exec.Command(os.Args[0], e.name, e.address)
	e.cmd.Env = append(os.Environ(), "WEIR_TEST_PROCESS=endpoint")
	e.cmd.Stderr = os.Stderr
	if _, err := e.cmd.StdinPipe(); err != nil {
		e.t.Fatal(err)
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.t.Fatalf("endpoint %s did not start: %v", e.name, err)
	}
	e.address = strings.TrimSpace(line)
}

func (e *endpointProcess) signal(s syscall.Signal) { _ = e.cmd.Process.Signal(s) }

func (e *endpointProcess) kill() {
	if e.cmd.ProcessState == nil {
		e.signal(syscall.SIGKILL)
		_ = e.cmd.Wait()
	}
}

func (e *endpointProcess) answer(status int) {
	e.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s/-/status/%d", e.address, status))
	if err != nil {
		e.t.Fatal(err)
	}
	resp.Body.Close()
}

func (e *endpointProcess) executed() map[string]int {
	e.t.Helper()
	m := map[string]int{}
	if err := getJSON("http://"+e.address+"/-/executed", &m); err != nil {
		e.t.Fatal(err)
	}
	return m
}

// weirProcess is a running `weir run`.
type weirProcess struct {
	t           *testing.T
	cmd         *exec.Cmd
	config      string
	http, admin string // addresses
	log         *lockedBuffer
	ended       chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// weirCommand is the weir command line as a process.
func weirCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WEIR_TEST_PROCESS=weir")
	return cmd
}

var listening = regexp.MustCompile(`msg=listening name=(\S+) address=(\S+)`)

// startWeir runs the gateway with that configuration, and more arguments, and waits until it is ready. Plugins are at
// ./plugins.
func startWeir(t *testing.T, config string, more ...string) *weirProcess {
	t.Helper()
	return startWeirTo(t, nil, config, more...)
}

// startWeirTo is startWeir with a standard output.
func startWeirTo(t *testing.T, out *os.File, config string, more ...string) *weirProcess {
	t.Helper()
	w := &weirProcess{t: t, config: filepath.Join(t.TempDir(), "weir.yaml"), log: new(lockedBuffer), ended: make(chan struct{})}
	plugins(t, w)
	w.write(config)
	w.cmd = weirCommand(append([]string{"run", "-c", w.config, "--drain", "5s"}, more...)...)
	w.cmd.Stderr = w.log
	if out != nil {
		w.cmd.Stdout = out
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = w.cmd.Wait(); close(w.ended) }()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-w.ended
		if t.Failed() {
			t.Logf("weir said:\n%s", w.log)
		}
	})
	gatewaytest.Eventually(t, "weir listens", func() bool {
		for _, m := range listening.FindAllStringSubmatch(w.log.String(), -1) {
			if m[1] == "http" {
				w.http = m[2]
			}
			if m[1] == "admin" {
				w.admin = m[2]
			}
		}
		select {
		case <-w.ended:
			t.Fatalf("weir ended: %s", w.log)
		default:
		}
		return w.http != "" && w.admin != ""
	})
	gatewaytest.Eventually(t, "weir is ready", func() bool {
		resp, err := http.Get("http://" + w.admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return w
}

// end stops weir as an operator does, and waits for it.
func (w *weirProcess) end() {
	w.t.Helper()
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	<-w.ended
	if code := w.cmd.ProcessState.ExitCode(); code != 0 {
		w.t.Errorf("exit status %d, want 0", code)
	}
}

// plugins puts the example policies where the configuration finds them as ./plugins.
func plugins(t *testing.T, w *weirProcess) {
	t.Helper()
	dir, err := filepath.Abs("../../examples/plugins")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(filepath.Dir(w.config), "plugins")); err != nil {
		t.Fatal(err)
	}
}

// write replaces the configuration by rename, as an editor or a deployment does.
func (w *weirProcess) write(config string) {
	w.t.Helper()
	if !strings.Contains(config, "cache_dir") {
		config += "wasm: {cache_dir: native}\n" // not that of whoever runs the tests
	}
	if err := os.WriteFile(w.config+".new", []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.config+".new", w.config); err != nil {
		w.t.Fatal(err)
	}
}

// metric sums the samples of a metric whose labels hold each of the given substrings.
func (w *weirProcess) metric(name string, labels ...string) float64 {
	w.t.Helper()
	resp, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
next:
	for lines.Scan() {
		line := lines.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
			w.t.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

func getJSON(url string, v any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}
