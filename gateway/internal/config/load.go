package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weir-lb/weir/internal/form"
)

// Options are what a configuration is read against.
type Options struct {
	// BuiltIns are the names of the built-in policies; those that the tree has as defaults are among them.
	BuiltIns []string
	// Environment looks up a variable, like os.LookupEnv. Nil is an empty environment.
	Environment func(name string) (value string, ok bool)
}

// overrides are the environment variables that win over the file.
var overrides = []struct{ variable, path string }{
	{"WEIR_ADMIN_ADDRESS", "admin.address"},
	{"WEIR_ADMIN_TOKEN_FILE", "admin.token_file"},
	{"WEIR_CONSUL_ADDRESS", "consul.address"},
	{"WEIR_LOG_LEVEL", "log.level"},
	{"WEIR_ZONE", "zone"},
}

// Load reads the file at path. On mistakes the error is of type [Errors] and holds all of them; what could be read comes
// with it, for finding more of them, and must not be served.
func Load(path string, o Options) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, Errors{{File: path, Got: err.Error(), Want: "a readable file"}}
	}
	return Parse(path, data, o)
}

// Parse is [Load] of data. Names of files in it are relative to the folder of path.
func Parse(path string, data []byte, o Options) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("folder of %s: %w", path, err)
	}
	c := new(Config)
	doc := form.Read(path, data, c, form.Options{Texts: textsOf(dir, o.BuiltIns), Want: "a mapping with listeners, clusters and routes"})
	if !doc.Whole {
		return nil, doc.Errs
	}
	c.places = doc.Places
	if o.Environment != nil {
		override(doc, o.Environment)
	}
	if _, named := c.places["wasm.cache_dir"]; !named {
		c.Wasm.CacheDir = cacheDir(o.Environment)
	}
	check := newChecker(c, o.BuiltIns, doc.Errs)
	check.all()
	if len(check.errs) > 0 {
		check.errs.Sort()
		return c, check.errs
	}
	return c, nil
}

// override puts the environment over what the file says. A variable that is set but empty counts as absent. A relative
// name of a file is relative to the folder of the configuration there too.
func override(doc *form.Document, environment func(string) (string, bool)) {
	for _, o := range overrides {
		if text, ok := environment(o.variable); ok && text != "" {
			doc.Set(o.path, text, o.variable)
		}
	}
}
