package peers

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// reverseProxy is benchmarks/peers/reverseproxy, whose configuration is a list of endpoints.
var reverseProxy = kind{
	config: func(s Site) string {
		return strings.Join(append([]string{s.Address}, s.Endpoints...), "\n")
	},
	command: []string{"reverseproxy", "CONFIG"},
	version: []string{"reverseproxy", "-version"},
	missing: "build it with peers.BuildReverseProxy",
}

// BuildReverseProxy builds the gateway that net/http/httputil makes as the file out.
func BuildReverseProxy(ctx context.Context, out string) error {
	text, err := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/weir-lb/weir/benchmarks/peers/reverseproxy").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build of reverseproxy: %w: %s", err, text)
	}
	return nil
}
