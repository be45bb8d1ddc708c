package wasmhost

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tetratelabs/wazero"
)

// native makes native code of a module. A cache of which a file is damaged (as it can be after a loss of power) is
// emptied, and one that cannot be written is done without: neither is a reason to refuse a module.
func (h *Host) native(ctx context.Context, pages uint32, wasm []byte) (wazero.Runtime, wazero.CompiledModule, error) {
	rt, err := h.runtime(limits{pages, h.cache != nil})
	if err != nil {
		return nil, nil, err
	}
	c, err := rt.CompileModule(ctx, wasm)
	if !ofCache(err) {
		return rt, c, err
	}
	h.log.Warn("the cache of native code is of no use as it is: it is emptied", "folder", h.folder, "err", err)
	files, _ := filepath.Glob(filepath.Join(h.folder, "wazero-*", "*")) // the pattern is a good one
	for _, f := range files {
		_ = os.Remove(f) // what is left of it, the next try tells of
	}
	if c, err = rt.CompileModule(ctx, wasm); !ofCache(err) {
		return rt, c, err
	}
	h.log.Warn("the cache of native code is done without", "folder", h.folder, "err", err)
	if rt, err = h.runtime(limits{pages, false}); err != nil {
		return nil, nil, err
	}
	c, err = rt.CompileModule(ctx, wasm)
	return rt, c, err
}

// ofCache reports whether an error of wazero's compiler is one of its cache: it reads files of it under this prefix, and
// writes them under none.
func ofCache(err error) bool {
	if err == nil {
		return false
	}
	_, file := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return file || link || strings.HasPrefix(err.Error(), "compilationcache:")
}
