package proxy

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
	"github.com/weir-lb/weir/gateway/internal/upstream"
	"github.com/weir-lb/weir/policies"
)

// endpoint2 speaks HTTP/2 without TLS.
func endpoint2(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-over
	})
	return ln.Addr().String()
}

// TestGRPC sends what clients of gRPC send, to endpoints that speak HTTP/2.
func TestGRPC(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	address := endpoint2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		switch r.URL.Path {
		case "/hang":
			select {
			case <-r.Context().Done():
			case <-hang:
			}
		case "/unavailable": // nothing but trailers
			w.Header().Set("Grpc-Status", "14")
		case "/internal":
			_, _ = io.WriteString(w, "message")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "13")
		default: // each piece comes back at once
			w.Header().Set("X-Timeout", r.Header.Get("Grpc-Timeout"))
			control := http.NewResponseController(w)
			_ = control.EnableFullDuplex()
			w.WriteHeader(200)
			_ = control.Flush()
			buf := make([]byte, 1024)
			for {
				n, err := r.Body.Read(buf)
				_, _ = w.Write(buf[:n])
				_ = control.Flush()
				if err != nil {
					break
				}
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
		}
	})
	g := startAt(t, options{config: Config{H2C: true}, pool: upstream.Config{HTTP2: true}}, address)
	c := g.client2()
	call := func(path string, body io.Reader, fields ...string) *http.Request {
		r := request2(t, g, "POST", path, body)
		r.Header.Set("Content-Type", "application/grpc+proto")
		r.Header.Set("Te", "trailers")
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		return r
	}
	t.Run("messages go both ways while both are open", func(t *testing.T) {
		in, out := io.Pipe()
		resp, err := c.Do(call("/echo", in, "Grpc-Timeout", "20S"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		buf := make([]byte, 10)
		for n := range 3 {
			message := fmt.Sprintf("message %d", n)
			if _, err := io.WriteString(out, message); err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(resp.Body, buf[:len(message)]); err != nil || string(buf[:n]) != message {
				t.Fatalf("got %q, %v; want %q", buf[:n], err, message)
			}
		}
		_ = out.Close()
		if b, err := io.ReadAll(resp.Body); len(b) != 0 || err != nil || resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Grpc-Message") != "fine" || resp.Header.Get("X-Timeout") != "20S" {
			t.Errorf("got %q, %v, trailers %v", b, err, resp.Trailer)
		}
	})
	attempts := func() [policies.NumClasses]uint64 { return g.Stats().Clusters[0].Attempts }
	t.Run("a status that speaks against the endpoint counts against it", func(t *testing.T) {
		for path, status := range map[string]string{"/unavailable": "14", "/internal": "13"} {
			before := attempts()[policies.BadStatus]
			resp, _ := g.ask2(c, call(path, strings.NewReader("x")))
			if got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"); got != status || resp.StatusCode != 200 {
				t.Errorf("%s: got %d, status %q; want %s", path, resp.StatusCode, got, status)
			}
			gatewaytest.Eventually(t, "it is counted", func() bool { return attempts()[policies.BadStatus] == before+1 })
		}
	})
	t.Run("the client's deadline is ours", func(t *testing.T) {
		resp, _ := g.ask2(c, call("/hang", strings.NewReader("x"), "Grpc-Timeout", "50m"))
		if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "4" || resp.Header.Get("Content-Type") != "application/grpc" {
			t.Errorf("got %d %v; want DEADLINE_EXCEEDED", resp.StatusCode, resp.Header)
		}
	})
	t.Run("our own answers are ones of gRPC", func(t *testing.T) {
		g := start(t, options{config: Config{H2C: true}, policy: picker(func(*policies.Request, *policies.View) int { return policies.None })}, gatewaytest.NewEndpoint(t))
		r := request2(t, g, "POST", "/", strings.NewReader("x"))
		r.Header.Set("Content-Type", "application/grpc")
		if resp, body := g.ask2(g.client2(), r); resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "14" || resp.Header.Get("Grpc-Message") == "" || body != "" {
			t.Errorf("got %d %v %q; want UNAVAILABLE", resp.StatusCode, resp.Header, body)
		}
	})
}

func TestGRPCTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond, "99999999n": 99999999,
		"0S": 1, "": 0, "S": 0, "1": 0, "1s": 0, "-1S": 0, "123456789S": 0, "1.5S": 0,
	} {
		if d, ok := grpcTimeout([]byte(text)); ok != (want > 0) || ok && d != want {
			t.Errorf("%q: got %v, %v; want %v", text, d, ok, want)
		}
	}
}

// TestClientCertificate: endpoints hear of a client's certificate from us alone.
func TestClientCertificate(t *testing.T) {
	certificate, pool := identity(t)
	e := gatewaytest.NewEndpoint(t, ok)
	g := start(t, options{config: Config{TLS: map[string]*tls.Config{"http": {
		Certificates: []tls.Certificate{certificate}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
	}}}}, e)
	for _, given := range []bool{true, false} {
		config := &tls.Config{RootCAs: pool, ServerName: "shop.example.com"}
		want := ""
		if given {
			config.Certificates = []tls.Certificate{certificate}
			want = ":" + base64.StdEncoding.EncodeToString(certificate.Certificate[0]) + ":"
		}
		c := g.dialTLS(config)
		if _, err := io.WriteString(c, gatewaytest.Head("GET", "/", "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		all := e.Requests()
		if got := all[len(all)-1].Header; got.Get("Client-Cert") != want || got["Client-Cert-Chain"] != nil {
			t.Errorf("given %v: the endpoint got %q; want %q", given, got.Get("Client-Cert"), want)
		}
	}
}
