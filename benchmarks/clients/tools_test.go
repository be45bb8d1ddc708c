package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tools are programs of tools/http2, built when first they are wanted. The go command keeps what it has built.
var tools = sync.OnceValues(func() (dir string, err error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go command: %w", err)
	}
	dir = filepath.Dir(weirProgram)
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir, "./interop", "github.com/summerwind/h2spec/cmd/h2spec")
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "tools", "http2")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tools of %s: %w\n%s", cmd.Dir, err, text)
	}
	return dir, nil
})

func tool(t *testing.T, name string) string {
	t.Helper()
	dir, err := tools()
	must(t, err)
	return filepath.Join(dir, name)
}
