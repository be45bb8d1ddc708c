package clients

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// interopCases are those of gRPC's interoperability tests that need no credentials.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
	"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service",
}

// grpcEndpoint is a process that serves gRPC.
type grpcEndpoint struct {
	address string
	cmd     *exec.Cmd
}

func newGRPCEndpoint(t *testing.T, name string) *grpcEndpoint {
	t.Helper()
	e := &grpcEndpoint{cmd: exec.CommandContext(t.Context(), tool(t, "interop"), "serve", name)}
	out, err := e.cmd.StdoutPipe()
	must(t, err)
	must(t, e.cmd.Start())
	t.Cleanup(e.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	e.address = strings.TrimSpace(line)
	return e
}

// kill ends the process with SIGKILL.
func (e *grpcEndpoint) kill() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
}

// newGRPCSite runs a gateway before two endpoints of gRPC.
func newGRPCSite(t *testing.T) (s *site, one, two *grpcEndpoint) {
	t.Helper()
	one, two = newGRPCEndpoint(t, "one"), newGRPCEndpoint(t, "two")
	s = &site{dir: t.TempDir()}
	ca := gatewaytest.NewAuthority(t, "clients of gRPC")
	cert, key := ca.Issue(t, gatewaytest.Leaf{Common: "site", Names: []string{"localhost"}})
	s.put(t, "ca.pem", ca.PEM)
	s.put(t, "site.pem", cert)
	s.put(t, "site.key", key)
	var err error
	s.gateway, err = StartGateway(t.Context(), weirProgram, s.dir, fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.1:0", tls: {certificates: [{cert: site.pem, key: site.key}]}}
http: {h2c: true}
wasm: {cache_dir: ""}
clusters:
  grpc:
    endpoints: [{address: %q}, {address: %q}]
    http2: true
    policy: round_robin
routes: [{cluster: grpc}]
`, one.address, two.address))
	must(t, err)
	t.Cleanup(s.gateway.Kill)
	return s, one, two
}

// grpcWays are how clients of gRPC reach the gateway: the listener, and the authority's file.
func (s *site) grpcWays() map[string][2]string {
	return map[string][2]string{"over TLS": {"tls", s.file("ca.pem")}, "without TLS": {"plain", ""}}
}

// interop returns the client, which ends within the test's minute.
func (s *site) interop(t *testing.T, what, how, listener, ca string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(bounded(t), tool(t, "interop"), what, how, s.gateway.Addresses[listener], ca)
}

func TestGRPCInteroperability(t *testing.T) {
	s, _, _ := newGRPCSite(t)
	for name, way := range s.grpcWays() {
		t.Run(name, func(t *testing.T) {
			for _, name := range interopCases {
				t.Run(name, func(t *testing.T) {
					if out, err := s.interop(t, "case", name, way[0], way[1]).CombinedOutput(); err != nil {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
		})
	}
}

// TestGRPCSoak: the calls on one connection of a client reach both endpoints, and when one of those is killed no call fails
// that may be repeated.
func TestGRPCSoak(t *testing.T) {
	for _, name := range []string{"over TLS", "without TLS"} {
		t.Run(name, func(t *testing.T) {
			s, one, _ := newGRPCSite(t)
			way := s.grpcWays()[name]
			soak := s.interop(t, "soak", "500", way[0], way[1])
			var complaints strings.Builder
			soak.Stderr = &complaints
			out, err := soak.StdoutPipe()
			must(t, err)
			must(t, soak.Start())
			lines := bufio.NewReader(out)
			line, err := lines.ReadString('\n')
			if line != "both\n" {
				t.Errorf("got %q, %v; want calls to reach both endpoints", line, err)
			}
			one.kill()
			rest, _ := io.ReadAll(lines)
			if err := soak.Wait(); err != nil {
				t.Errorf("%v: %s\n%s", err, complaints.String(), s.gateway.Log())
			}
			t.Logf("%s", rest)
		})
	}
}
