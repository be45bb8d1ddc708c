package config

import (
	"os"
	"path/filepath"
	"testing"
)

var options = Options{BuiltIns: []string{"round_robin", "weighted_round_robin", "p2c", "least_request"}}

// write makes a file below dir.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
