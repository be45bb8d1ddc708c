package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

// TestCheckPrintsWarningsAndAccepts holds that what only needs a look does not fail a check.
func TestCheckPrintsWarningsAndAccepts(t *testing.T) {
	dir := t.TempDir()
	cert, key := gatewaytest.NewAuthority(t, "test authority").Issue(t, gatewaytest.Leaf{Names: []string{"a.example"}})
	for name, text := range map[string]string{
		"a.pem": string(cert), "a.key": string(key),
		"weir.yaml": "listeners: [{address: ':8443', tls: {certificates: [{cert: a.pem, key: a.key}]}}]\n" +
			"clusters: {web: {endpoints: [{address: '127.0.0.1:9001'}]}}\nroutes: [{cluster: web}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o644, "warning: $DIR/weir.yaml:1:72: listeners[0].tls.certificates[0].key: got $DIR/a.key, a key that everybody on this host can read (mode 0644), want mode 0600 or 0640\n"},
	} {
		if err := os.Chmod(filepath.Join(dir, "a.key"), tc.mode); err != nil {
			t.Fatal(err)
		}
		cmd := weirCommand("check", "-c", filepath.Join(dir, "weir.yaml"))
		var told strings.Builder
		cmd.Stderr = &told
		out, err := cmd.Output()
		if err != nil || !strings.HasSuffix(string(out), ": ok (1 listeners, 1 routes, 1 clusters, 0 policies)\n") {
			t.Errorf("mode %o: %v, %s", tc.mode, err, out)
		}
		if got := strings.ReplaceAll(told.String(), dir, "$DIR"); got != tc.want {
			t.Errorf("mode %o: got %q, want %q", tc.mode, got, tc.want)
		}
	}
}
