package peers

import (
	"fmt"
	"os/exec"
)

// haproxy does what the manual advises for an edge: keep-alive to servers, its own forwarding fields in place of the
// client's, Via, all timeouts. It streams both ways by itself, and speaks WebSocket without being told.
var haproxy = kind{
	config: func(address, endpoint, _ string) string {
		return fmt.Sprintf(`global
  nbthread 1
defaults
  mode http
  option http-keep-alive
  timeout connect 1s
  timeout client 60s
  timeout server 2s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 60s
frontend edge
  bind %s
  http-request set-header X-Forwarded-For %%[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %%[req.hdr(host)]
  http-request set-header Forwarded for=%%[src];proto=http
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  default_backend web
backend web
  http-reuse always
  server a %s
`, address, endpoint)
	},
	command: func(file string) *exec.Cmd { return exec.Command("haproxy", "-db", "-q", "-f", file) },
	version: []string{"haproxy", "-v"},
	missing: "apt-get install haproxy",
}
