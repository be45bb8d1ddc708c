package peers

import (
	"fmt"
	"os/exec"
)

// caddy does what its manual says of a reverse proxy; keep-alive, forwarding fields in place of the client's, Via, streaming
// and WebSocket are its defaults.
var caddy = kind{
	config: func(address, endpoint, dir string) string {
		return fmt.Sprintf(`{
	admin off
	persist_config off
	storage file_system %[3]s
	log {
		level ERROR
	}
}
http://%[1]s {
	reverse_proxy %[2]s {
		flush_interval -1
		transport http {
			dial_timeout 1s
			response_header_timeout 2s
		}
	}
}
`, address, endpoint, dir)
	},
	command: func(file string) *exec.Cmd {
		return exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", file)
	},
	version: []string{"caddy", "version"},
	missing: "GOBIN=FOLDER go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9",
}
