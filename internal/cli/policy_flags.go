package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-lb/weir/internal/workbench"
	"github.com/weir-lb/weir/wasmhost"
)

// moduleFlags say which module is meant, and how it is loaded.
type moduleFlags struct {
	File    string `arg:"" type:"path" placeholder:"FILE.wasm" help:"The module."`
	Config  string `help:"Configuration handed to lb_init, such as '{\"percent\": 5}'." placeholder:"JSON"`
	Large   bool   `help:"Accept a module that carries a language runtime, such as Go's."`
	Profile string `enum:"default,gc" default:"default" help:"Fuel: default, or gc for guests that collect garbage in a pick."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// read returns the module.
func (m moduleFlags) read() ([]byte, error) {
	if m.Config != "" {
		var v json.RawMessage
		if err := json.Unmarshal([]byte(m.Config), &v); err != nil {
			return nil, fmt.Errorf("--config: got %s, want JSON, which is what a gateway hands over: %w", m.Config, err)
		}
	}
	f, err := os.Open(m.File)
	if err == nil {
		defer f.Close()
		var wasm []byte
		if wasm, err = io.ReadAll(io.LimitReader(f, mostOfModule)); err == nil {
			return wasm, nil
		}
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", shortPath(p.Path), p.Err)
	}
	return nil, err
}

// mostOfModule is more than any module may have, in bytes. A device never ends.
const mostOfModule = 16 << 20

// options are how the module is loaded, but for name, configuration and clock.
func (m moduleFlags) options() wasmhost.Options {
	o := wasmhost.Options{Large: m.Large}
	if m.Profile == "gc" {
		o.Fuel = wasmhost.ProfileGC()
	}
	return o
}

// config returns what lb_init is handed, nil if nothing was given.
func (m moduleFlags) config() []byte {
	if m.Config == "" {
		return nil
	}
	return []byte(m.Config)
}

// subject puts the module on the bench.
func (m moduleFlags) subject(wasm []byte) *workbench.Subject {
	return &workbench.Subject{Name: policyName(m.File), Wasm: wasm, File: m.File, Options: m.options(), Config: m.config()}
}

// policyName is what a module's file says that the policy is called.
func policyName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".wasm") }

// refused tells that a step refuses the module.
func (m moduleFlags) refused(s *streams, err error) error {
	r := refusalOf(err)
	if r == nil {
		return fmt.Errorf("%s: %w", shortPath(m.File), err)
	}
	r.show(paint(s.err), m.File)
	return errTold
}

// shortPath is path from the working directory, if that is shorter.
func shortPath(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
