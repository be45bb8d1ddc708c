package peers

import (
	"maps"
	"os"
	"os/exec"
)

// kind is how a gateway is run.
type kind struct {
	config  func(Site) string
	files   map[string][]byte // what its folder holds besides
	command []string          // CONFIG stands for the file
	version []string          // the command that prints it
	called  string            // what the version is instead; may be empty
	needs   string            // a file that must be there besides the program; may be empty
	missing string            // what to do about what is not there
}

var kinds = map[string]kind{
	"weir": weir, "haproxy": haproxy, "nginx": nginx, "caddy": caddy,
	"weir-p2c": weirP2C, "weir-wasm": weirWasm, "weir-log": weirLog, "haproxy-rr": haproxyRR, "haproxy-lua": haproxyLua,
	"nginx-rr": nginxRR, "nginx-lua": nginxLua, "caddy-rr": caddyRR, "reverseproxy": reverseProxy,
}

// with is k with another configuration.
func (k kind) with(config func(Site) string) kind {
	k.config = config
	return k
}

// holding is k with another file in its folder.
func (k kind) holding(name, content string) kind {
	k.files = maps.Clone(k.files)
	if k.files == nil {
		k.files = map[string][]byte{}
	}
	k.files[name] = []byte(content)
	return k
}

// needing is k with a file that it needs besides, and advice for who does not have it.
func (k kind) needing(file, advice string) kind {
	k.needs, k.missing = file, advice
	return k
}

// find returns the program that is in PATH.
func (k kind) find() (string, error) {
	program, err := exec.LookPath(k.command[0])
	if err == nil && k.needs != "" {
		_, err = os.Stat(k.needs)
	}
	return program, err
}
