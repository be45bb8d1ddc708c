package gateway

import (
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// tlsDesk is a folder with a configuration and the files that it names.
type tlsDesk struct {
	*gatewaytest.Authority
	t   *testing.T
	dir string
	log pages
}

// pages are what was logged.
type pages struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (p *pages) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(line)
}

// have reports whether a line has all of these in it.
func (p *pages) have(parts ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.text.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return true
		}
	}
	return false
}

func newTLSDesk(t *testing.T) *tlsDesk {
	t.Helper()
	d := &tlsDesk{Authority: gatewaytest.NewAuthority(t, "test authority"), t: t, dir: t.TempDir()}
	write(t, d.file("ca.pem"), d.PEM)
	return d
}

func (d *tlsDesk) file(name string) string { return filepath.Join(d.dir, name) }

// issue lays stem.pem and stem.key, each by rename.
func (d *tlsDesk) issue(stem string, l gatewaytest.Leaf) {
	d.t.Helper()
	cert, key := d.Issue(d.t, l)
	for name, data := range map[string][]byte{stem + ".pem": cert, stem + ".key": key} {
		write(d.t, d.file(name+".new"), data)
		must(d.t, os.Rename(d.file(name+".new"), d.file(name)))
	}
}

// configure lays weir.yaml with that of a listener, called https, at address, and of a cluster.
func (d *tlsDesk) configure(address, listener, cluster string) string {
	d.t.Helper()
	write(d.t, d.file("weir.yaml"), []byte(`admin: {address: 127.0.0.1:0}
listeners: [{name: https, address: "`+address+`"`+listener+`}]
clusters: {web: {endpoints: [{name: a, address: "127.0.0.1:1"}]`+cluster+`}}
routes: [{cluster: web}]
wasm: {cache_dir: ""}
`))
	return d.file("weir.yaml")
}

func (d *tlsDesk) start(strict bool) (*Gateway, error) {
	d.t.Helper()
	g, err := Start(Options{Path: d.file("weir.yaml"), Strict: strict, Log: slog.New(slog.NewTextHandler(&d.log, nil))})
	if err == nil {
		d.t.Cleanup(func() { _ = g.Shutdown(d.t.Context()) })
	}
	return g, err
}

const withA = ", tls: {certificates: [{cert: a.pem, key: a.key}]}"

// serial shakes hands as a client of the listener https and returns the number of the certificate that it is shown.
func serial(t *testing.T, g *Gateway) string {
	t.Helper()
	server, client := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		_ = tls.Server(server, g.certs.Listener("https").Config()).Handshake()
	}()
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	must(t, client.SetDeadline(time.Now().Add(20*time.Second)), c.Handshake())
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestBadCertificates is golden: what weir check says, with the place of what names the file. $DIR stands for the folder.
func TestBadCertificates(t *testing.T) {
	for name, tc := range map[string]struct{ listener, cluster, want string }{
		"of_a_listener": {
			", tls: {certificates: [{cert: a.pem, key: b.key}], client_ca: empty}", "",
			"2:91: listeners[0].tls.certificates[0].key: got $DIR/b.key, the key of another certificate than $DIR/a.pem, want its private key in PEM, without a passphrase\n" +
				"2:111: listeners[0].tls.client_ca: got no certificate in $DIR/empty, want certificates of authorities in PEM",
		},
		"of_a_cluster": {
			"", ", tls: {server_name: a, ca: a.key, certificate: {cert: a.pem, key: empty}}",
			"3:92: clusters.web.tls.ca: got no certificate in $DIR/a.key, want certificates of authorities in PEM\n" +
				"3:131: clusters.web.tls.certificate.key: got $DIR/empty (failed to find any PEM data in key input), want its private key in PEM, without a passphrase",
		},
		"that_has_expired": {
			", tls: {certificates: [{cert: old.pem, key: old.key}]}", "",
			"2:79: listeners[0].tls.certificates[0].cert: got $DIR/old.pem, for old.example, that expired on 2026-01-02T03:04:05Z, want one that is valid now",
		},
		"beside_other_mistakes": {
			", trusted: [x], tls: {certificates: [{cert: a.pem, key: b.key}, {cert: none, key: a.key}]}", "",
			"2:61: listeners[0].trusted[0]: got \"x\", want a network such as 10.0.0.0/8\n" +
				"2:105: listeners[0].tls.certificates[0].key: got $DIR/b.key, the key of another certificate than $DIR/a.pem, want its private key in PEM, without a passphrase\n" +
				"2:120: listeners[0].tls.certificates[1].cert: got \"none\", want a readable file: $DIR/none: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTLSDesk(t)
			d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
			d.issue("b", gatewaytest.Leaf{Names: []string{"b.example"}})
			d.issue("old", gatewaytest.Leaf{Names: []string{"old.example"}, From: time.Unix(0, 0), Until: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
			write(t, d.file("empty"), nil)
			path := d.configure("127.0.0.1:0", tc.listener, tc.cluster)
			_, err := Check(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), path+":", ""), d.dir, "$DIR"); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestCheckWarnsOfAKeyThatEverybodyCanRead(t *testing.T) {
	d := newTLSDesk(t)
	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
	must(t, os.Chmod(d.file("a.key"), 0o644))
	path := d.configure("127.0.0.1:0", withA, "")
	sum, err := Check(path)
	must(t, err)
	want := path + ":2:91: listeners[0].tls.certificates[0].key: got " + d.file("a.key") + ", a key that everybody on this host can read (mode 0644), want mode 0600 or 0640"
	if got := strings.Join(sum.Warnings, "\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestAnExpiredCertificate is served by a start, which must not be worse than no start, and by nothing else.
func TestAnExpiredCertificate(t *testing.T) {
	d := newTLSDesk(t)
	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}, Until: time.Now().Add(-time.Minute)})
	d.configure("127.0.0.1:0", withA, "")
	if _, err := d.start(true); err == nil || !strings.Contains(err.Error(), "that expired on") {
		t.Errorf("a strict start: %v, want it refused", err)
	}
	g, err := d.start(false)
	must(t, err)
	if !d.log.have("level=ERROR", "certificate needs a look", "weir.yaml:2:79: listeners[0].tls.certificates[0].cert: got", "that expired on") {
		t.Errorf("the log does not say so:\n%s", d.log.text.String())
	}
	was := serial(t, g)
	if r := g.Ready(); r.Status != "degraded" || !r.Ready || len(r.Certificates) != 1 || r.Certificates[0].Error != "expired" || r.Certificates[0].Name != "a.example" {
		t.Errorf("%+v", r)
	}
	must(t, g.Reload()) // which does not name it anew
	d.issue("b", gatewaytest.Leaf{Names: []string{"b.example"}, Until: time.Now().Add(-time.Minute)})
	d.configure("127.0.0.1:0", ", tls: {certificates: [{cert: a.pem, key: a.key}, {cert: b.pem, key: b.key}]}", "")
	if err := g.Reload(); err == nil || !strings.Contains(err.Error(), "listeners[0].tls.certificates[1].cert: got "+d.file("b.pem")+", for b.example, that expired on") {
		t.Errorf("a reload that names another: %v, want it refused", err)
	}
	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
	gatewaytest.Eventually(t, "the new one is taken", func() bool { return serial(t, g) != was })
	if r := g.Ready(); len(r.Certificates) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestAChangedCertificate is taken as its file changes; a bad one is told everywhere, and what served serves on.
func TestAChangedCertificate(t *testing.T) {
	d := newTLSDesk(t)
	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
	d.issue("gateway", gatewaytest.Leaf{Common: "gateway"})
	d.configure("127.0.0.1:0", withA, ", tls: {server_name: b.example, ca: ca.pem, certificate: {cert: gateway.pem, key: gateway.key}}")
	g, err := d.start(true)
	must(t, err)
	heard := g.events.subscribe()
	defer g.events.leave(heard)
	first := serial(t, g)
	if files := watched(g.config); len(files) != 5 {
		t.Errorf("%q are watched, want a.pem, a.key, ca.pem, gateway.pem and gateway.key", files)
	}

	write(t, d.file("a.pem"), []byte("nothing"))
	gatewaytest.Eventually(t, "the bad one is refused", func() bool { return g.Ready().Status == "degraded" })
	must(t, g.Reload()) // the rest of the configuration is taken all the same
	if !d.log.have("level=ERROR", `msg="certificate refused" listener=https part=certificate name=a.example`, "weir.yaml:2:79: listeners[0].tls.certificates[0].cert: got no certificate in", "what serves serves on, until") {
		t.Errorf("the log does not say so:\n%s", d.log.text.String())
	}
	if serial(t, g) != first {
		t.Error("another certificate serves")
	}
	_, metrics := ask(t, g, "GET", "/metrics")
	for _, want := range []string{
		`weir_certificate_reloads_total{of="https",result="refused",side="listener"} 1`,
		`weir_certificate_refused{of="https",side="listener"} 1`,
		`weir_certificate_refused{of="web",side="cluster"} 0`,
		`weir_certificate_expiry_timestamp_seconds{key="ecdsa",name="a.example",of="https",part="certificate",side="listener"} `,
		`weir_certificate_expiry_timestamp_seconds{key="ecdsa",name="gateway",of="web",part="certificate",side="cluster"} `,
		`weir_certificate_expiry_timestamp_seconds{key="ecdsa",name="CN=test authority",of="web",part="ca",side="cluster"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	if event := <-heard.ch; event.Kind != kindCertificate || event.Listener != "https" || !strings.Contains(event.Detail, "weir.yaml:2:79: listeners[0].tls.certificates[0].cert: got no certificate in") {
		t.Errorf("%+v", event)
	}
	status, body := ask(t, g, "GET", "/api/v1/certificates")
	var shown struct {
		Certificates []struct {
			Of, Refused  string
			RefusedSince time.Time `json:"refused_since"`
		}
	}
	must(t, json.Unmarshal([]byte(body), &shown))
	if c := shown.Certificates; status != 200 || len(c) != 3 || c[0].Of != "https" || !strings.Contains(c[0].Refused, "no certificate in") || c[0].RefusedSince.IsZero() || c[1].Refused != "" {
		t.Errorf("%d %s", status, body)
	}

	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
	gatewaytest.Eventually(t, "the good one is taken", func() bool { return serial(t, g) != first && g.Ready().Certificates == nil })
}

// TestAListenerBeginsToSpeakTLS at a reload and ceases to, on the same socket.
func TestAListenerBeginsToSpeakTLS(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := free.Addr().String()
	must(t, free.Close())
	d := newTLSDesk(t)
	d.issue("a", gatewaytest.Leaf{Names: []string{"a.example"}})
	d.configure(address, "", "")
	g, err := d.start(true)
	must(t, err)
	for _, tc := range []struct {
		listener   string
		tls, moved bool
	}{{withA, true, true}, {withA + "", true, false}, {"", false, true}} {
		was := g.listeners["https"]
		d.configure(address, tc.listener, "")
		must(t, g.Reload())
		if (g.certs.Listener("https") != nil) != tc.tls || (g.listeners["https"] != was) != tc.moved || g.Address("https") != address {
			t.Errorf("%q: TLS %v, another listener %v", tc.listener, g.certs.Listener("https") != nil, g.listeners["https"] != was)
		}
	}
}
