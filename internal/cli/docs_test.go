package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fence = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// TestReadme holds the README's examples: its configuration is accepted by `weir check`, its commands exist.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "weir.yaml")
	if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		seen[m[1]]++
		switch m[1] {
		case "yaml":
			if err := os.WriteFile(config, []byte(m[2]), 0o600); err != nil {
				t.Fatal(err)
			}
		case "sh":
			for line := range strings.Lines(m[2]) {
				command, _, _ := strings.Cut(line, "#")
				args := strings.Fields(command)
				switch {
				case len(args) == 0, args[0] == "go":
				case args[0] == "make":
					if !strings.Contains(string(makefile), "\n"+args[1]+":") {
						t.Errorf("README says %q, the Makefile has no such target", line)
					}
				case args[0] == "bin/weir" && args[1] == "run":
					// TestRun* run it; here there is no Consul agent and no end.
				case args[0] == "bin/weir":
					cmd := weirCommand(args[1:]...)
					cmd.Dir = root
					for i, a := range cmd.Args {
						if a == "weir.yaml" {
							cmd.Args[i] = config
						}
					}
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("README says %q: %v\n%s", line, err, out)
					}
				default:
					t.Errorf("README says %q, which nothing here runs", line)
				}
			}
		}
	}
	if seen["yaml"] != 1 || seen["sh"] < 3 {
		t.Errorf("README has examples %v, want one yaml and several sh", seen)
	}
}

// TestExampleConfigurations checks every configuration under examples/.
func TestExampleConfigurations(t *testing.T) {
	names, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range names {
		if out, err := weirCommand("check", "-c", name).CombinedOutput(); err != nil {
			t.Errorf("weir check -c %s: %v\n%s", name, err, out)
		}
	}
}
