package gateway

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// codeIn returns the files of a folder with the times at which they were written.
func codeIn(t *testing.T, folder string) map[string]time.Time {
	t.Helper()
	found := map[string]time.Time{}
	must(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			found[name] = info.ModTime()
		}
		return err
	}))
	return found
}

func TestNativeCodeIsKept(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	cache := filepath.Join(t.TempDir(), "a", "native")
	policies, more := `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: "`+cache+`"}`
	must(t, startWith(t, policies, more).Shutdown(t.Context()))
	first := codeIn(t, cache)
	if len(first) == 0 {
		t.Fatal("no native code is kept")
	}
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, mode %v, want 0700", err, info.Mode())
	}
	g := startWith(t, policies, more)
	for name, at := range codeIn(t, cache) {
		if !first[name].Equal(at) {
			t.Errorf("%s was written again: a restart compiles", filepath.Base(name))
		}
	}
	_, err := g.Put(t.Context(), "plugin", modules[1])
	must(t, err)
	if n := len(codeIn(t, cache)); n != len(first)+1 {
		t.Errorf("%d files of native code after another module, want %d", n, len(first)+1)
	}
}

func TestNativeCodeIsKeptWhereNobodyElseWrites(t *testing.T) {
	modules := counting(t)
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	write(t, path, modules[0])
	for name, make := range map[string]func(t *testing.T, folder string){
		"a_folder_for_all":           func(t *testing.T, folder string) { must(t, os.Mkdir(folder, 0o700), os.Chmod(folder, 0o777)) },
		"a_folder_for_a_group":       func(t *testing.T, folder string) { must(t, os.Mkdir(folder, 0o700), os.Chmod(folder, 0o770)) },
		"a_file_in_its_place":        func(t *testing.T, folder string) { must(t, os.WriteFile(folder, nil, 0o600)) },
		"a_parent_that_is_no_folder": func(t *testing.T, folder string) { must(t, os.Symlink("/dev/null/x", folder)) },
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "native")
			make(t, folder)
			g := startWith(t, `{plugin: {wasm: "`+path+`"}}`, `wasm: {cache_dir: "`+folder+`"}`)
			if !g.serves(t, modules[0])() || g.policy("plugin").module == nil {
				t.Error("the policy does not serve")
			}
			if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
				t.Errorf("%d files are in it", len(entries))
			}
		})
	}
}
