package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-lb/weir/internal/form"
)

// textsOf returns texts with those that depend on where and by whom a configuration is read: relative names of files
// start from dir.
func textsOf(dir string, builtIns []string) map[string]form.Text {
	all := maps.Clone(texts)
	policy := texts["built-in"]
	policy.Want += ": " + strings.Join(builtIns, ", ")
	policy.Read = func(s string) (string, string) {
		if !slices.Contains(builtIns, s) {
			return "", policy.Want + form.Nearest(s, builtIns)
		}
		return s, ""
	}
	all["built-in"] = policy
	folder := texts["folder"]
	folder.Read = func(s string) (string, string) {
		if s != "" && !filepath.IsAbs(s) {
			s = filepath.Join(dir, s)
		}
		return s, ""
	}
	all["folder"] = folder
	for _, as := range []string{"file", "path"} {
		file := texts[as]
		file.Read = func(s string) (string, string) {
			if s == "" {
				return "", file.Want
			}
			if !filepath.IsAbs(s) {
				s = filepath.Join(dir, s)
			}
			if as == "file" {
				if err := readable(s); err != nil {
					return "", "a readable file: " + err.Error()
				}
			}
			return s, ""
		}
		all[as] = file
	}
	return all
}

// readable opens a file and closes it again. A device or a pipe is not asked, since that could wait.
func readable(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %s", name, info.Mode().Type())
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(name); err == nil {
			return f.Close()
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

// cacheDir returns where a user's programs keep what they can make again (XDG Base Directory Specification), "" if the
// environment does not say.
func cacheDir(environment func(string) (string, bool)) string {
	if environment == nil {
		return ""
	}
	if dir, _ := environment("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "weir", "native")
	}
	if home, _ := environment("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "weir", "native")
	}
	return ""
}
