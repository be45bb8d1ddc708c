package peers

import (
	"fmt"
	"strings"
)

// nginx does what its manual advises for a reverse proxy that streams: HTTP/1.1 and keep-alive to servers, no buffering and
// no limit of bodies either way, its own forwarding fields in place of the client's, Via, and the map that WebSocket needs.
var nginx = kind{
	config: func(s Site) string {
		return nginxHead(s) + `
  map $http_upgrade $connection_out { default upgrade; "" ""; }
  map $http_via $via_out { default "$http_via, 1.1 nginx"; "" "1.1 nginx"; }
  upstream web { ` + nginxServers(s, " max_fails=0") + `keepalive 1024; keepalive_requests 100000000; }
  server {
    listen ` + nginxListen(s) + `
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_connect_timeout 1s;
      proxy_read_timeout 2s;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_pass_header Server;
      proxy_set_header Host $host;
      proxy_set_header Connection $connection_out;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";
      proxy_set_header Via $via_out;
      add_header Via "1.1 nginx" always;
    }
  }
}
`
	},
	command: []string{"nginx", "-c", "CONFIG", "-e", "stderr"},
	version: []string{"nginx", "-v"},
	missing: "apt-get install nginx-light",
}

// nginxRR is round robin with the least work on heads, and buffers as nginx has them by default.
var nginxRR = nginx.with(func(s Site) string {
	return nginxHead(s) + `
  upstream web { ` + nginxServers(s, "") + `keepalive 1024; keepalive_requests 100000000; }
` + nginxPlain(s)
})

// nginxLua is nginxRR, but for who chooses: two servers at random, and the one of them with less requests in flight, which
// are counted as lua-resty-core's documentation of balancer_by_lua does it, in the worker.
var nginxLua = nginx.with(func(s Site) string {
	var hosts strings.Builder
	for _, e := range s.Endpoints {
		host, port, _ := strings.Cut(e, ":")
		fmt.Fprintf(&hosts, "{%q, %s, 0}, ", host, port)
	}
	return "load_module /usr/lib/nginx/modules/ndk_http_module.so;\nload_module " + luaModule + ";\n" +
		nginxHead(s) + `
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  init_by_lua_block {
    require "resty.core"
    balancer = require "ngx.balancer"
    endpoints = { ` + hosts.String() + `}
  }
  upstream web {
    server 0.0.0.1;
    balancer_by_lua_block {
      local n = #endpoints
      local a, b = math.random(n), math.random(n - 1)
      if b >= a then b = b + 1 end
      if endpoints[b][3] < endpoints[a][3] then a = b end
      local e = endpoints[a]
      e[3] = e[3] + 1
      ngx.ctx.endpoint = e
      assert(balancer.set_current_peer(e[1], e[2]))
    }
    keepalive 1024; keepalive_requests 100000000;
  }
  log_by_lua_block {
    local e = ngx.ctx.endpoint
    if e then e[3] = e[3] - 1 end
  }
` + nginxPlain(s)
}).needing(luaModule, "apt-get install nginx-light libnginx-mod-http-lua")

// luaModule is where Debian has it.
const luaModule = "/usr/lib/nginx/modules/ngx_http_lua_module.so"

func nginxHead(s Site) string {
	return fmt.Sprintf(`daemon off;
master_process off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr crit;
events { worker_connections 14000; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_header_timeout 10s;
  client_body_timeout 60s;
  keepalive_timeout 60s;
  keepalive_requests 100000000;
  client_max_body_size 0;`, s.Dir)
}

func nginxPlain(s Site) string {
	return `  server {
    listen ` + nginxListen(s) + `
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`
}

func nginxListen(s Site) string {
	if s.Cert == "" {
		return s.Address + ";"
	}
	return s.Address + " ssl; ssl_certificate " + s.Cert + "; ssl_certificate_key " + s.Key + "; ssl_protocols TLSv1.3;"
}

func nginxServers(s Site, options string) string {
	var b strings.Builder
	for _, e := range s.Endpoints {
		fmt.Fprintf(&b, "server %s%s; ", e, options)
	}
	return b.String()
}
