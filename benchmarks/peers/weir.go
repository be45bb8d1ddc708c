package peers

import (
	"context"
	"fmt"
	"os/exec"
)

// weir runs with its defaults, but for what one endpoint that misbehaves on purpose needs: it is never ejected, and is
// given up after two seconds.
var weir = kind{
	config: func(address, endpoint, _ string) string {
		return fmt.Sprintf(`admin: {address: "127.0.0.1:0"}
listeners: [{name: http, address: %q}]
wasm: {cache_dir: ""}
clusters:
  web:
    endpoints: [{address: %q}]
    outlier: {consecutive: 0}
    timeout: 2s
routes: [{cluster: web}]
log: {level: warn}
`, address, endpoint)
	},
	command: func(file string) *exec.Cmd { return exec.Command("weir", "run", "-c", file) },
	version: []string{"weir", "version"},
	missing: "build it with peers.BuildWeir",
}

// BuildWeir builds the weir program of this module as the file out.
func BuildWeir(ctx context.Context, out string) error {
	text, err := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/weir-lb/weir").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build of weir: %w: %s", err, text)
	}
	return nil
}
