package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Options are what a configuration is read against.
type Options struct {
	// BuiltIns are the names of the built-in policies.
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
	r := reader{file: path}
	top := r.read(data)
	if top.kind != mapping {
		if len(r.errs) == 0 {
			r.fail(top.at, "", top.describe(), "a mapping with listeners, clusters and routes")
		}
		return nil, r.errs
	}
	c := &Config{places: places{"": top.at}}
	d := decoder{form: forms{dir: dir, builtIns: o.BuiltIns}, places: c.places, errs: r.errs}
	v := reflect.ValueOf(c).Elem()
	applyDefaults(v)
	d.value(top, "", v, "")
	if o.Environment != nil {
		d.override(v, o.Environment)
	}
	check := newChecker(c, o.BuiltIns, d.errs)
	check.all()
	if len(check.errs) > 0 {
		check.errs.Sort()
		return c, check.errs
	}
	return c, nil
}

// override puts the environment over what the file says. A variable that is set but empty counts as absent. A relative
// name of a file is relative to the folder of the configuration there too.
func (d *decoder) override(v reflect.Value, environment func(string) (string, bool)) {
	for _, o := range overrides {
		text, ok := environment(o.variable)
		if !ok || text == "" {
			continue
		}
		field, tag := v, reflect.StructTag("")
		for key := range strings.SplitSeq(o.path, ".") {
			field, tag = fieldOf(field, key)
		}
		d.places[o.path] = place{file: o.variable}
		d.value(&node{kind: scalar, text: text, at: place{file: o.variable}}, o.path, field, tag)
	}
}

func fieldOf(v reflect.Value, key string) (reflect.Value, reflect.StructTag) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag; tag.Get("yaml") == key {
			return v.Field(i), tag
		}
	}
	panic(fmt.Sprintf("config: %s has no key %q", v.Type(), key))
}
