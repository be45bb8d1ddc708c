package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestHealthAnswers(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want string }{
		"serving":                        {"\x00\x00\x00\x00\x02\x08\x01", ""},
		"not_serving":                    {"\x00\x00\x00\x00\x02\x08\x02", "NOT_SERVING, want SERVING"},
		"a_message_without_status":       {"\x00\x00\x00\x00\x00", "UNKNOWN, want SERVING"},
		"a_status_of_the_future":         {"\x00\x00\x00\x00\x03\x08\x80\x01", "128, want SERVING"},
		"fields_of_the_future":           {"\x00\x00\x00\x00\x08\x12\x02ab\x18\x05\x08\x01", ""},
		"nothing":                        {"", errHealthAnswer.Error()},
		"compressed":                     {"\x01\x00\x00\x00\x02\x08\x01", errHealthAnswer.Error()},
		"less_than_it_says":              {"\x00\x00\x00\x00\x03\x08\x01", errHealthAnswer.Error()},
		"more_than_it_says":              {"\x00\x00\x00\x00\x01\x08\x01", errHealthAnswer.Error()},
		"a_field_without_value":          {"\x00\x00\x00\x00\x01\x08", errHealthAnswer.Error()},
		"a_field_longer_than_the_answer": {"\x00\x00\x00\x00\x02\x12\x7f", errHealthAnswer.Error()},
		"a_number_without_end":           {"\x00\x00\x00\x00\x02\x08\x80", errHealthAnswer.Error()},
		"a_field_of_another_kind":        {"\x00\x00\x00\x00\x02\x0d\x01", errHealthAnswer.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := healthAnswer([]byte(tc.answer)); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := string(healthRequest("shop")); got != "\x00\x00\x00\x00\x06\x0a\x04shop" {
		t.Errorf("request %q", got)
	}
}

// TestProbesOfGRPC: what answers, and how the probe takes it. grpc-go's own health service is in benchmarks/clients.
func TestProbesOfGRPC(t *testing.T) {
	answer := func(w http.ResponseWriter, body, status string) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte(body))
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	}
	asked := make(chan *http.Request, 1)
	for name, tc := range map[string]struct {
		act  http.HandlerFunc
		want string
	}{
		"one_that_serves":       {func(w http.ResponseWriter, _ *http.Request) { answer(w, "\x00\x00\x00\x00\x02\x08\x01", "0") }, "passing"},
		"one_that_does_not":     {func(w http.ResponseWriter, _ *http.Request) { answer(w, "\x00\x00\x00\x00\x02\x08\x02", "0") }, "failing: NOT_SERVING, want SERVING"},
		"one_without_the_check": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Grpc-Status", "12") }, `failing: grpc-status "12" (), want 0`},
		"one_that_speaks_http":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "failing: status 404, want 200 and an answer of gRPC"},
		"one_that_pours":        {func(w http.ResponseWriter, _ *http.Request) { answer(w, strings.Repeat("x", 1<<20), "0") }, `failing: grpc-status "" (), want 0`},
	} {
		for _, secured := range []bool{false, true} {
			how := map[bool]string{false: " without TLS", true: " over TLS"}[secured]
			t.Run(name+how, func(t *testing.T) {
				h := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					select {
					case asked <- r:
					default:
					}
					tc.act(w, r)
				})}
				h.Protocols.SetUnencryptedHTTP2(true)
				h.Protocols.SetHTTP2(true)
				p := &Probe{GRPC: true, Service: "shop", HTTP2: true, Interval: 20 * time.Millisecond, Timeout: 10 * time.Second, Fall: 1, Rise: 1}
				address := serveProbed(t, h, secured, p)
				s := settings()
				s.Probe = p
				c := start(t, s, nil)
				in := instance("a")
				in.Address = address
				c.Apply(live(in))
				gatewaytest.Eventually(t, tc.want, func() bool {
					e := c.Status().Endpoints[0].Evidence
					got := e.Probe
					if e.ProbeError != "" {
						got += ": " + e.ProbeError
					}
					return got == tc.want
				})
				r := <-asked
				if r.Method != "POST" || r.URL.Path != "/grpc.health.v1.Health/Check" || r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("Grpc-Timeout") != "10000m" {
					t.Errorf("asked with %s %s %s %v", r.Method, r.URL, r.Proto, r.Header)
				}
			})
		}
	}
}

// serveProbed serves until the test ends, with TLS if secured, which p is then made to trust, and returns the address.
func serveProbed(t *testing.T, h *http.Server, secured bool, p *Probe) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := func() { _ = h.Serve(ln) }
	if secured {
		ca := gatewaytest.NewAuthority(t, "endpoints")
		cert, key := ca.Issue(t, gatewaytest.Leaf{Common: "example.com", Names: []string{"example.com"}})
		known := x509.NewCertPool()
		known.AppendCertsFromPEM(ca.PEM)
		p.TLS = &trusting{known}
		serve = serveTLS(t, h, ln, cert, key)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		serve()
	}()
	t.Cleanup(func() {
		_ = h.Close()
		<-over
	})
	return ln.Addr().String()
}

func serveTLS(t *testing.T, h *http.Server, ln net.Listener, cert, key []byte) func() {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	h.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return func() { _ = h.ServeTLS(ln, "", "") }
}
