package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CaddyVersion is what BuildCaddy builds.
const CaddyVersion = "v2.11.9"

// caddy does what its manual says of a reverse proxy; keep-alive, forwarding fields in place of the client's, Via, streaming
// and WebSocket are its defaults.
var caddy = kind{
	config: func(s Site) string {
		return caddyHead(s) + `	reverse_proxy ` + strings.Join(s.Endpoints, " ") + ` {
		flush_interval -1
		transport http {
			dial_timeout 1s
			response_header_timeout 2s
		}
	}
}
`
	},
	command: []string{"caddy", "run", "--adapter", "caddyfile", "--config", "CONFIG"},
	version: []string{"caddy", "version"},
	called:  "Caddy " + CaddyVersion, // it says "unknown" if the go command has installed it
	missing: "GOBIN=FOLDER go install github.com/caddyserver/caddy/v2/cmd/caddy@" + CaddyVersion,
}

// caddyRR keeps as many connections to an endpoint as there may be clients; the default is 32.
var caddyRR = caddy.with(func(s Site) string {
	return caddyHead(s) + `	reverse_proxy ` + strings.Join(s.Endpoints, " ") + ` {
		lb_policy round_robin
		health_uri /
		health_interval 1s
		transport http {
			keepalive_idle_conns_per_host 1024
		}
	}
}
`
})

func caddyHead(s Site) string {
	host, port, _ := strings.Cut(s.Address, ":")
	site, tls := "http://:"+port, ""
	if s.Cert != "" {
		site, tls = "https://:"+port, "\ttls "+s.Cert+" "+s.Key+" {\n\t\tprotocols tls1.3\n\t}\n"
	}
	return `{
	admin off
	auto_https off
	persist_config off
	storage file_system ` + s.Dir + `
	log {
		level ERROR
	}
}
` + site + ` {
	bind ` + host + `
` + tls
}

// BuildCaddy builds Caddy with the go command, unless it is in the user's cache, and returns its path.
func BuildCaddy(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "weir", "caddy-"+CaddyVersion)
	program := filepath.Join(dir, "caddy")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@"+CaddyVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install of caddy %s: %w: %s", CaddyVersion, err, text)
	}
	return program, nil
}
