package peers

import (
	"strings"
	"testing"
)

func TestWhatIsNotInstalledIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, want := range map[string]string{
		"haproxy": "apt-get install haproxy", "haproxy-rr": "apt-get install haproxy", "haproxy-lua": "apt-get install haproxy",
		"nginx-rr": "apt-get install nginx-light", "nginx-lua": "apt-get install nginx-light libnginx-mod-http-lua",
		"weir-p2c": "peers.BuildWeir", "reverseproxy": "peers.BuildReverseProxy",
	} {
		if _, err := Version(name, ""); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("version of %s: got %v, want ...%s", name, err, want)
		}
		if _, err := Start(t.Context(), name, Setup{Endpoints: []string{"127.0.0.1:1"}}); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("start of %s: got %v, want ...%s", name, err, want)
		}
	}
}

func TestUnknownNamesAndNoEndpointsAreRefused(t *testing.T) {
	if _, err := Start(t.Context(), "apache", Setup{Endpoints: []string{"127.0.0.1:1"}}); err == nil || !strings.Contains(err.Error(), "haproxy-rr") {
		t.Errorf("got %v, want the names that there are", err)
	}
	if _, err := Version("apache", ""); err == nil {
		t.Error("version: got no error")
	}
	if _, err := Start(t.Context(), "weir", Setup{}); err == nil {
		t.Error("no endpoint: got no error")
	}
}
