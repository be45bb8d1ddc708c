package plugins_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-lb/weir/wasmhost"
)

// everything is a guest for each header that imports all host functions, and calls none.
var everything = map[string]struct{ file, source string }{
	"c": {"everything.c", `#include "lb_states.h"
LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t f) { (void)f; return LB_REPLICABLE; }
LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) { (void)t; return 0; }
LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) { (void)r; return LB_DEFER; }
LB_EXPORT(lb_init) int32_t lb_init(char *p, uint32_t n) {
  if (n == 0) return 0;
  int64_t x = 0;
  lb_log(LB_INFO, p, n);
  x += (int64_t)lb_hash64(p, n, 1) + (int64_t)lb_rand64() + (int64_t)lb_now_ns() + lb_ctr_add(1, 2) + lb_ctr_cas(1, 2, 3);
  x += lb_kv_get(p, n, p, n) + lb_kv_set(p, n, p, n, 5) + lb_eject(1, 2) + lb_header_id(p, n) + lb_ctr_id(p, n);
  x += lb_metric_id(LB_GAUGE, p, n) + lb_set_tick(100) + lb_attr(LB_ATTR_PATH, p, n) + lb_header(1, p, n);
  x += (int64_t)lb_header_hash(1, 2) + lb_header_eq(1, p, n) + (int64_t)lb_cookie_hash(p, n, 3) + lb_ep_meta(1, p, n, p, n);
  lb_metric_add(1, x);
  return (int32_t)x;
}
`},
	"assemblyscript": {"everything.ts", `import * as lb from "./lb";
export { lb_alloc } from "./lb";
export function lb_abi_v1(f: u64): u64 { return lb.REPLICABLE; }
export function lb_endpoints(t: lb.Table): i32 { return 0; }
export function lb_pick(r: lb.Request): i32 { return lb.DEFER; }
export function lb_init(p: usize, n: u32): i32 {
  if (n == 0) return 0;
  lb.log(lb.Level.INFO, p, n);
  let x: i64 = lb.hash64(p, n, 1) + lb.rand64() + lb.now_ns() + lb.ctr_add(1, 2) + lb.ctr_cas(1, 2, 3);
  x += lb.kv_get(p, n, p, n) + lb.kv_set(p, n, p, n, 5) + lb.eject(1, 2) + lb.header_id(p, n) + lb.ctr_id(p, n);
  x += lb.metric_id(lb.Metric.GAUGE, p, n) + lb.set_tick(100) + lb.attr(lb.Attr.PATH, p, n) + lb.header(1, p, n);
  x += lb.header_hash(1, 2) + lb.header_eq(1, p, n) + lb.cookie_hash(p, n, 3) + lb.ep_meta(1, p, n, p, n);
  lb.metric_add(1, x);
  return <i32>x;
}
`},
}

// TestHeadersHaveEveryHostFunction holds the headers to section 5 of docs/ABI.md, and to the host, which refuses an import
// that it does not know and one that has another type.
func TestHeadersHaveEveryHostFunction(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## 5.")
	_, block, _ := strings.Cut(section, "```wat\n")
	block, _, _ = strings.Cut(block, "```")
	var want []string
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, ";;")
		for _, m := range regexp.MustCompile(`(?:^|\s)([a-z_0-9]+)\([a-z0-9_, ]*\)`).FindAllStringSubmatch(line, -1) {
			want = append(want, m[1])
		}
	}
	slices.Sort(want)
	if len(want) < 20 {
		t.Fatalf("docs/ABI.md names the host functions %v, want at least 20", want)
	}
	for language, guest := range everything {
		t.Run(language, func(t *testing.T) {
			dir := t.TempDir()
			source, wasm := filepath.Join(dir, guest.file), filepath.Join(dir, "everything.wasm")
			if err := os.WriteFile(source, []byte(guest.source), 0o600); err != nil {
				t.Fatal(err)
			}
			sdk := filepath.Join("../../wasmhost/sdk", language)
			c := exec.CommandContext(t.Context(), "clang", "--target=wasm32", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding",
				"-nostdlib", "-mbulk-memory", "-Wl,--no-entry", "-Wl,-z,stack-size=8192", "-I", sdk, source, "-o", wasm)
			if language == "assemblyscript" {
				header, err := os.ReadFile(filepath.Join(sdk, "lb.ts"))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "lb.ts"), header, 0o600); err != nil {
					t.Fatal(err)
				}
				asc, err := filepath.Abs("zone-spill/node_modules/.bin/asc")
				if err != nil {
					t.Fatal(err)
				}
				c = exec.CommandContext(t.Context(), asc, guest.file, "-O3", "--noAssert", "--runtime", "stub", "--use", "abort=", "-o", wasm)
				c.Dir = dir
			}
			if _, err := exec.LookPath(c.Path); err != nil {
				t.Logf("not compiled: %v", err)
				return
			}
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			built, err := os.ReadFile(wasm)
			if err != nil {
				t.Fatal(err)
			}
			h, err := wasmhost.NewHost(wasmhost.HostOptions{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.Close() }()
			m, err := h.Load(t.Context(), built, wasmhost.Options{Name: "everything"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			var got []string
			for _, im := range m.Info().Imports {
				name, _, _ := strings.Cut(strings.TrimPrefix(im, "lb."), " ")
				got = append(got, name)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the header has %v, want %v", got, want)
			}
		})
	}
}
