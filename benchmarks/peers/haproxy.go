package peers

import (
	"fmt"
	"strings"
)

// haproxy does what the manual advises for an edge: keep-alive to servers, its own forwarding fields in place of the
// client's, Via, all timeouts. It streams both ways by itself, and speaks WebSocket without being told.
var haproxy = kind{
	config: func(s Site) string {
		return haproxyHead("2s", "") + `frontend edge
  bind ` + haproxyBind(s) + `
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Forwarded for=%[src];proto=http
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  default_backend web
backend web
  balance roundrobin
  http-reuse always
` + haproxyServers(s, "")
	},
	command: []string{"haproxy", "-db", "-q", "-f", "CONFIG"},
	version: []string{"haproxy", "-v"},
	missing: "apt-get install haproxy",
}

// haproxyRR is round robin over checked servers with no work on heads beyond option forwardfor: the least that an edge
// can do with it.
var haproxyRR = haproxy.with(func(s Site) string {
	return haproxyHead("30s", "") + `frontend edge
  bind ` + haproxyBind(s) + `
  option forwardfor
  default_backend web
backend web
  balance roundrobin
  http-reuse always
  option httpchk GET /
` + haproxyServers(s, " check inter 1s")
})

// haproxyLua is haproxyRR, but for who chooses: two servers at random, and the one of them with less connections.
var haproxyLua = haproxy.with(func(s Site) string {
	return haproxyHead("30s", "  lua-load "+s.Dir+"/p2c.lua\n") + `frontend edge
  bind ` + haproxyBind(s) + `
  option forwardfor
  default_backend web
backend web
  http-reuse always
  http-request set-var(txn.server) lua.p2c
  use-server %[var(txn.server)] if TRUE
  option httpchk GET /
` + haproxyServers(s, " check inter 1s")
}).holding("p2c.lua", `local names = {}
core.register_fetches("p2c", function(txn)
  local n = #names
  if n == 0 then
    for name in pairs(core.backends["web"].servers) do n = n + 1; names[n] = name end
  end
  local a, b = math.random(n), math.random(n - 1)
  if b >= a then b = b + 1 end
  a, b = names[a], names[b]
  if txn.f:srv_conn("web/" .. b) < txn.f:srv_conn("web/" .. a) then return b end
  return a
end)
`)

// haproxyHead lets idle connections to servers stay as long as there are files: by default they go as soon as a quarter of
// them are in use, which ten thousand clients are. It has the timeout of servers, and lines of the global section.
func haproxyHead(server, global string) string {
	return `global
  nbthread 1
  maxconn 12000
  no strict-limits
  tune.pool-low-fd-ratio 80
  tune.pool-high-fd-ratio 90
` + global + `defaults
  mode http
  option http-keep-alive
  timeout connect 1s
  timeout client 60s
  timeout server ` + server + `
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 60s
`
}

// haproxyBind looks for the key beside the certificate, as FILE.key.
func haproxyBind(s Site) string {
	if s.Cert == "" {
		return s.Address
	}
	return s.Address + " ssl crt " + s.Cert + " alpn http/1.1 ssl-min-ver TLSv1.3"
}

func haproxyServers(s Site, options string) string {
	var b strings.Builder
	for i, e := range s.Endpoints {
		fmt.Fprintf(&b, "  server s%d %s%s\n", i+1, e, options)
	}
	return b.String()
}
