package peers

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/weir-lb/weir/examples/plugins"
)

// weir runs with its defaults, but for what endpoints that misbehave on purpose need: they are never ejected, and are
// given up after two seconds.
var weir = kind{
	config: func(s Site) string {
		return weirHead(s) + `clusters:
  web:
    endpoints: [` + weirEndpoints(s) + `]
    outlier: {consecutive: 0}
    timeout: 2s
routes: [{cluster: web}]
`
	},
	command: []string{"weir", "run", "-c", "CONFIG"},
	version: []string{"weir", "version"},
	missing: "build it with peers.BuildWeir",
}

// weirP2C has its defaults, and probes.
var weirP2C = weir.with(func(s Site) string {
	return weirHead(s) + `clusters:
  web:
    endpoints: [` + weirEndpoints(s) + `]
    probe: {http: {path: /}}
routes: [{cluster: web}]
`
})

// weirWasm is weirP2C, but for who chooses: p2c as a guest.
var weirWasm = weir.with(func(s Site) string {
	return weirHead(s) + `policies:
  p2c_wasm: {wasm: p2c.wasm}
clusters:
  web:
    endpoints: [` + weirEndpoints(s) + `]
    probe: {http: {path: /}}
    policy: p2c_wasm
routes: [{cluster: web}]
`
}).holding("p2c.wasm", string(plugins.P2C))

// weirLog is weirWasm with an access log, in a file.
var weirLog = weirWasm.with(func(s Site) string {
	return strings.Replace(weirWasm.config(s), "log: {", "log: {access: json, access_file: access.log, ", 1)
})

func weirHead(s Site) string {
	tls := ""
	if s.Cert != "" {
		tls = fmt.Sprintf(", tls: {certificates: [{cert: %q, key: %q}], min_version: \"1.3\"}", s.Cert, s.Key)
	}
	return fmt.Sprintf(`admin: {address: %q}
listeners: [{name: http, address: %q%s}]
wasm: {cache_dir: ""}
log: {level: warn}
`, s.Admin, s.Address, tls)
}

func weirEndpoints(s Site) string {
	var b strings.Builder
	for _, e := range s.Endpoints {
		fmt.Fprintf(&b, "{address: %q}, ", e)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// BuildWeir builds the weir program of this module as the file out.
func BuildWeir(ctx context.Context, out string) error {
	text, err := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/weir-lb/weir").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build of weir: %w: %s", err, text)
	}
	return nil
}
