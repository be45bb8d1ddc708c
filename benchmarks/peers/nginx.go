package peers

import (
	"fmt"
	"os/exec"
)

// nginx does what its manual advises for a reverse proxy that streams: HTTP/1.1 and keep-alive to servers, no buffering and
// no limit of bodies either way, its own forwarding fields in place of the client's, Via, and the map that WebSocket needs.
var nginx = kind{
	config: func(address, endpoint, dir string) string {
		return fmt.Sprintf(`daemon off;
master_process off;
pid %[3]s/pid;
error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path %[3]s/body;
  proxy_temp_path %[3]s/proxy;
  fastcgi_temp_path %[3]s/fastcgi;
  uwsgi_temp_path %[3]s/uwsgi;
  scgi_temp_path %[3]s/scgi;
  client_header_timeout 10s;
  client_body_timeout 60s;
  keepalive_timeout 60s;
  client_max_body_size 0;
  map $http_upgrade $connection_out { default upgrade; "" ""; }
  map $http_via $via_out { default "$http_via, 1.1 nginx"; "" "1.1 nginx"; }
  upstream web { server %[2]s max_fails=0; keepalive 16; }
  server {
    listen %[1]s;
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
`, address, endpoint, dir)
	},
	command: func(file string) *exec.Cmd { return exec.Command("nginx", "-c", file, "-e", "stderr") },
	version: []string{"nginx", "-v"},
	missing: "apt-get install nginx-light",
}
