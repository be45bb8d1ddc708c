//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestAllThatIsNotInstalledIsNamedAtOnce(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	f := &field{dir: t.TempDir(), peers: map[string]string{}}
	err := f.gather(t.Context(), []string{"haproxy-rr", "nginx-lua"}, "")
	if err == nil {
		t.Fatal("got no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "apt-get install haproxy") || !strings.HasSuffix(lines[1], "apt-get install nginx-light libnginx-mod-http-lua") {
		t.Errorf("got %q, want one line for each, with what to install", lines)
	}
}
