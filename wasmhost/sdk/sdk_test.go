package sdk_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost/sdk"
)

// field is one of a layout: where it begins and what it takes, in bytes.
type field struct {
	name      string
	at, bytes int
}

// layouts are those of docs/ABI.md, section 3, with the name of each offset in wasmhost/layout.go, "" where the host has none.
var layouts = map[string][]struct {
	field
	host string
}{
	"table": {
		{field{"magic", 0, 4}, "tabMagic"},
		{field{"gen", 4, 4}, "tabGen"},
		{field{"n", 8, 4}, "tabN"},
		{field{"ep_off", 12, 4}, "tabEpOff"},
		{field{"ep_stride", 16, 4}, "tabEpStride"},
		{field{"str_off", 20, 4}, "tabStrOff"},
		{field{"str_len", 24, 4}, "tabStrLen"},
		{field{"up_gen", 28, 4}, "tabUpGen"},
		{field{"n_up", 32, 4}, "tabNUp"},
		{field{"up_off", 36, 4}, "tabUpOff"},
		{field{"tier_end", 40, 16}, "tabTierEnd"},
		{field{"self_zone", 56, 4}, "tabSelfZone"},
		{field{"flags", 60, 4}, "tabFlags"},
		{field{"col_off", 64, 64}, "tabColOff"},
	},
	"endpoint": {
		{field{"id_hash", 0, 8}, "epIDHash"},
		{field{"id", 8, 4}, "epID"},
		{field{"weight", 12, 4}, "epWeight"},
		{field{"tier", 16, 1}, "epTier"},
		{field{"flags", 17, 1}, "epFlags"},
		{field{"zone", 18, 2}, "epZone"},
		{field{"name_off", 20, 4}, "epName"},
		{field{"meta_off", 24, 4}, "epMeta"},
	},
	"request": {
		{field{"now_ns", 0, 8}, "reqNow"},
		{field{"rnd", 8, 8}, "reqRand"},
		{field{"key_hash", 16, 8}, "reqKeyHash"},
		{field{"seq", 24, 8}, "reqSeq"},
		{field{"gen", 32, 4}, "reqGen"},
		{field{"up_gen", 36, 4}, "reqUpGen"},
		{field{"method", 40, 1}, "reqMethod"},
		{field{"attempt", 41, 1}, "reqAttempt"},
		{field{"n_tried", 42, 1}, "reqNTried"},
		{field{"flags", 44, 4}, "reqFlags"},
		{field{"client_ip", 48, 16}, "reqClientIP"},
		{field{"client_port", 64, 2}, "reqClientPort"},
		{field{"listener", 66, 2}, "reqListener"},
		{field{"route", 68, 4}, "reqRoute"},
		{field{"path_hash", 72, 8}, "reqPathHash"},
		{field{"host_hash", 80, 8}, "reqHostHash"},
		{field{"content_length", 88, 8}, "reqContentLength"},
		{field{"deadline_ms", 96, 4}, "reqDeadline"},
		{field{"elapsed_us", 100, 4}, "reqElapsed"},
		{field{"last_ep", 104, 4}, "reqLastEndpoint"},
		{field{"last_status", 108, 2}, "reqLastStatus"},
		{field{"last_err", 110, 2}, "reqLastErr"},
		{field{"last_us", 112, 4}, "reqLastMicros"},
		{field{"sticky_ep", 116, 4}, "reqSticky"},
		{field{"tried", 120, 32}, "reqTried"},
		{field{"out_n", 192, 4}, "outN"},
		{field{"out_ep", 196, 32}, "outEndpoints"},
		{field{"out_timeout_ms", 228, 4}, "outTimeout"},
		{field{"out_hedge_ms", 232, 4}, "outHedge"},
		{field{"out_status", 236, 4}, "outStatus"},
		{field{"out_tag", 240, 8}, "outTag"},
		{field{"out_flags", 248, 4}, "outFlags"},
		{field{"out_reason", 252, 4}, "outReason"},
	},
	"feedback": {
		{field{"tag", 0, 8}, "fbTag"},
		{field{"ep_id", 8, 4}, "fbID"},
		{field{"ep", 12, 4}, "fbIndex"},
		{field{"status", 16, 2}, "fbStatus"},
		{field{"err", 18, 2}, "fbErr"},
		{field{"attempt", 20, 1}, "fbAttempt"},
		{field{"flags", 21, 1}, "fbFlags"},
		{field{"load_permille", 22, 2}, "fbLoad"},
		{field{"ttfb_us", 24, 4}, "fbFirstByte"},
		{field{"total_us", 28, 4}, "fbTotal"},
	},
}

// text returns the headers of a language, one after the other.
func text(t *testing.T, language string) string {
	t.Helper()
	entries, err := sdk.Files.ReadDir(language)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		s, err := sdk.Files.ReadFile(path.Join(language, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.Write(s)
	}
	return b.String()
}

func TestEveryLanguageHasAHeader(t *testing.T) {
	for _, file := range []string{"c/lb.h", "assemblyscript/lb.ts", "rust/lb.rs", "go/lb.go", "zig/lb.zig", "wat/lb.wat"} {
		if _, err := sdk.Files.ReadFile(file); err != nil {
			t.Error(err)
		}
	}
}

// TestTheHostHasTheLayout holds the table above to what the host writes and reads.
func TestTheHostHasTheLayout(t *testing.T) {
	have := goConstants(t, []string{"../layout.go"})
	for name, fields := range layouts {
		for _, f := range fields {
			if got, ok := have[plain(f.host)]; !ok || got != int64(f.at) {
				t.Errorf("%s: %s is at %d here, and %s of the host is %d (found %t)", name, f.name, f.at, f.host, got, ok)
			}
		}
	}
}

// plain is a name without what languages spell in their own way.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", ":", "", ".", "").Replace(strings.TrimPrefix(name, "LB_")))
}

// structs says how a language writes a struct: before its fields, after them, and one field or several of a type.
var structs = map[string]struct {
	names      map[string]string
	begin, end string
	one        string
}{
	"c": {
		map[string]string{"table": "lb_table", "endpoint": "lb_endpoint", "request": "lb_request", "feedback": "lb_feedback_record"},
		"typedef struct %s {", "} ", `(?m)u?int(?P<bits>\d+)_t (?P<names>[a-z0-9_, \[\]]+);`,
	},
	"rust": {
		map[string]string{"table": "Header", "endpoint": "Endpoint", "request": "Request", "feedback": "Feedback"},
		"pub struct %s {", "\n}", `pub (?P<names>[a-z0-9_]+): \[?[ui](?P<bits>\d+)(?:; (?P<count>\d+)\])?,`,
	},
	"zig": {
		map[string]string{"table": "Table", "endpoint": "Endpoint", "request": "Request", "feedback": "Feedback"},
		"pub const %s = extern struct {", "\n\n    ", `(?m)^    (?P<names>[a-z0-9_]+): (?:\[(?P<count>\d+)\])?[ui](?P<bits>\d+),`,
	},
	"assemblyscript": {
		map[string]string{"table": "Table", "endpoint": "Endpoint", "request": "Request", "feedback": "Feedback"},
		"export class %s {", "\n  }", `(?P<names>[a-z][a-z0-9_]*): [ui](?P<bits>\d+);`,
	},
	"go": {
		map[string]string{"table": "Table", "endpoint": "Endpoint", "request": "Request", "feedback": "Feedback"},
		"type %s struct {", "\n}", `(?m)^\t(?P<names>[A-Z]\w*) +(?:\[(?P<count>\d+)\])?u?int(?P<bits>\d+)$`,
	},
}

// TestStructsHaveTheLayout lays the fields of each struct out as every one of these languages does: each at a multiple of its
// size.
func TestStructsHaveTheLayout(t *testing.T) {
	for language, l := range structs {
		header := text(t, language)
		one := regexp.MustCompile(l.one)
		for layout, name := range l.names {
			_, body, ok := strings.Cut(header, fmt.Sprintf(l.begin, name))
			if !ok {
				t.Errorf("%s: no struct %s", language, name)
				continue
			}
			body, _, _ = strings.Cut(body, "\n}")
			body, _, _ = strings.Cut(body, l.end)
			have, at := map[string]field{}, 0
			for _, m := range one.FindAllStringSubmatch(body, -1) {
				bits, _ := strconv.Atoi(m[one.SubexpIndex("bits")])
				for n := range strings.SplitSeq(m[one.SubexpIndex("names")], ",") {
					count := 1
					if _, c, ok := strings.Cut(n, "["); ok {
						count, _ = strconv.Atoi(strings.TrimSuffix(c, "]"))
					}
					if k := one.SubexpIndex("count"); k > 0 && m[k] != "" {
						count, _ = strconv.Atoi(m[k])
					}
					n, _, _ = strings.Cut(strings.TrimSpace(n), "[")
					size := bits / 8
					at = (at + size - 1) / size * size
					have[plain(n)] = field{n, at, size * count}
					at += size * count
				}
			}
			if len(have) < 8 {
				t.Errorf("%s: %d fields of %s were found, want at least 8", language, len(have), name)
			}
			for _, want := range layouts[layout] {
				got, ok := have[plain(want.name)]
				if !ok && language == "assemblyscript" {
					continue // it has no arrays in a class, and methods instead
				}
				if got.at != want.at || got.bytes != want.bytes {
					t.Errorf("%s: %s.%s has %d bytes at %d, want %d at %d", language, name, want.name, got.bytes, got.at, want.bytes, want.at)
				}
			}
		}
	}
}

// TestTheListsOfTheSkeletonAreTheLayout reads the comments of the WAT skeleton.
func TestTheListsOfTheSkeletonAreTheLayout(t *testing.T) {
	at := func(layout, name string) int {
		for _, f := range layouts[layout] {
			if f.name == name {
				return f.at
			}
		}
		return -1
	}
	listed := regexp.MustCompile(`(\d+) ([a-z][a-z_]*)`)
	wat := text(t, "wat")
	for begin, layout := range map[string]string{";; The table.": "table", ";; An endpoint.": "endpoint", ";; A request;": "request", ";; A feedback record.": "feedback"} {
		_, body, _ := strings.Cut(wat, begin)
		_, body, _ = strings.Cut(body, "\n")
		n := 0
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, ";;   ") {
				break
			}
			for _, m := range listed.FindAllStringSubmatch(line, -1) {
				n++
				if want := at(layout, m[2]); strconv.Itoa(want) != m[1] {
					t.Errorf("wat: %s of the %s is at %s, want %d", m[2], layout, m[1], want)
				}
			}
		}
		if n != len(layouts[layout]) {
			t.Errorf("wat: %d fields of the %s are listed, want %d", n, layout, len(layouts[layout]))
		}
	}
}

// goConstants evaluates the constants of one package, by plain name.
func goConstants(t *testing.T, files []string) map[string]int64 {
	t.Helper()
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, f := range files {
		p, err := parser.ParseFile(fset, f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	// Other packages are not needed, and bodies of imports are not there: errors of that kind do not matter.
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil), Error: func(error) {}, IgnoreFuncBodies: true}
	pkg, _ := config.Check("lb", fset, parsed, nil)
	have := map[string]int64{}
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && c.Val().Kind() == constant.Int {
			if v, exact := constant.Int64Val(c.Val()); exact {
				have[plain(name)] = v
			}
		}
	}
	return have
}

// number evaluates what stands for a number in the other headers.
func number(s string) (int64, bool) {
	s = strings.NewReplacer("_", "", "ull", "", "u", "", "(", "", ")", "", " ", "").Replace(s)
	a, b, shifted := strings.Cut(s, "<<")
	v, err := strconv.ParseInt(a, 0, 64)
	if shifted && err == nil {
		var n int64
		n, err = strconv.ParseInt(b, 0, 64)
		v <<= n
	}
	return v, err == nil
}

// enum adds the members of an enumeration.
func enum(have map[string]int64, group, body string) {
	next := int64(0)
	for member := range strings.SplitSeq(body, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(member), "=")
		if v, ok := number(value); given && ok {
			next = v
		}
		if name = strings.TrimSpace(name); name != "" {
			have[plain(group+name)] = next
			next++
		}
	}
}

// constants reads those of a header, by plain name.
func constants(t *testing.T, language string) map[string]int64 {
	header, have := text(t, language), map[string]int64{}
	add := func(expr string, group string) {
		for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(header, -1) {
			if v, ok := number(m[2]); ok {
				have[plain(group+m[1])] = v
			}
		}
	}
	switch language {
	case "c":
		for _, m := range regexp.MustCompile(`enum \w+ \{([^}]*)\}`).FindAllStringSubmatch(header, -1) {
			enum(have, "", strings.ReplaceAll(m[1], "LB_", ""))
		}
		add(`#define LB_(\w+) (\(?[0-9][^ /\n]*(?: << \d+\))?)`, "")
	case "assemblyscript":
		for _, m := range regexp.MustCompile(`export enum (\w+) \{([^}]*)\}`).FindAllStringSubmatch(header, -1) {
			enum(have, m[1], m[2])
		}
		add(`(\w+): [ui]\d+ = (-?[0-9][^;,]*)[;,]`, "")
	case "zig":
		for _, m := range regexp.MustCompile(`pub const (\w+) = enum\(\w+\) \{([^}]*)\}`).FindAllStringSubmatch(header, -1) {
			enum(have, m[1], m[2])
		}
		add(`pub const (\w+): [ui]\d+ = ([^;]+);`, "")
	case "rust":
		for _, m := range regexp.MustCompile(`(?s)pub mod (method|err|attr) \{(.*?)\n\}`).FindAllStringSubmatch(header, -1) {
			for _, c := range regexp.MustCompile(`pub const (\w+): \w+ = ([^;]+);`).FindAllStringSubmatch(m[2], -1) {
				if v, ok := number(c[2]); ok {
					have[plain(m[1]+c[1])] = v
				}
			}
			header = strings.Replace(header, m[0], "", 1)
		}
		add(`pub const (\w+): \w+ = ([^;]+);`, "")
	case "go":
		return goConstants(t, []string{"go/lb.go", "go/host.go"})
	}
	return have
}

// TestConstantsAreThoseOfTheHost compares what headers call by name with what the host means by it.
func TestConstantsAreThoseOfTheHost(t *testing.T) {
	host := goConstants(t, []string{"../layout.go"})
	type want struct {
		group, name string
		value       int64
		also        string // another name that one language gives it
	}
	wants := []want{
		{"", "REPLICABLE", host["flagreplicable"], ""},
		{"", "KEEP_ORDER", host["flagkeeporder"], ""},
		{"", "HOST_KV", host["featurekv"], ""},
		{"", "HOST_EJECT", host["featureeject"], ""},
		{"", "DEFER", host["answerdefer"], ""},
		{"", "REJECT", host["answerreject"], ""},
		{"", "LIST", host["answerlist"], ""},
		{"", "STOP", host["answerstop"], ""},
		{"", "NONE", host["none"], ""},
		{"", "SET_STICKY", host["outsetsticky"], ""},
		{"", "NO_RETRY", host["outnoretry"], ""},
		{"", "FINAL", host["fbfinal"], ""},
		{"", "HEDGE_LOSER", host["fbloser"], ""},
		{"", "CLIENT_GONE", host["fbclientgone"], ""},
		{"", "UNMADE", host["fbunmade"], ""},
		{"", "SAME_ZONE", int64(policies.SameZone), ""},
		{"", "CANARY", int64(policies.Canary), ""},
		{"", "DRAINING", int64(policies.Draining), ""},
		{"", "SPARE", int64(policies.Spare), ""},
		{"", "HAS_KEY", int64(policies.HasKey), ""},
		{"", "REPLAYABLE", int64(policies.Replayable), ""},
		{"", "IDEMPOTENT", int64(policies.Idempotent), ""},
		{"", "TLS", int64(policies.TLS), ""},
		{"", "UPGRADE", int64(policies.Upgrade), ""},
		{"", "LAST_TRY", int64(policies.LastTry), ""},
		{"health", "DOWN", int64(policies.Down), ""},
		{"health", "DEGRADED", int64(policies.Degraded), ""},
		{"health", "UP", int64(policies.Up), ""},
		{"", "NOT_FOUND", -1, ""},
		{"", "BAD_ID", -2, ""},
		{"", "NOT_NOW", -3, ""},
		{"", "LIMIT", -4, ""},
		{"", "FEATURE_OFF", -5, ""},
	}
	for i, name := range []string{"HEALTH", "INFLIGHT", "EWMA_US", "ERR_PPM", "RPS_MILLI", "CONSECUTIVE_FAIL", "LOAD_PPM", "HEARTBEAT_AGE_MS"} {
		wants = append(wants, want{"column", name, int64(i), ""})
	}
	for m, name := range []string{"OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"} {
		wants = append(wants, want{"method", name, int64(m), "OTHER_METHOD"})
	}
	for c, name := range []string{
		"OK", "REFUSED", "CONNECT_TIMEOUT", "RESET", "HEADER_TIMEOUT", "BODY_TIMEOUT", "TLS", "UNRESOLVABLE", "MALFORMED", "POOL_EXHAUSTED", "CANCELLED", "BAD_STATUS",
	} {
		wants = append(wants, want{"err", name, int64(c), "TLS_FAILED"})
	}
	for a, name := range []string{"PATH", "QUERY", "HOST", "METHOD", "SNI", "ROUTE", "CLUSTER", "CLIENT_IP", "CLIENT_IDENTITY"} {
		wants = append(wants, want{"attr", name, int64(policies.AttrPath) + int64(a), ""})
	}
	for _, language := range []string{"c", "assemblyscript", "rust", "zig", "go"} {
		have := constants(t, language)
		for _, w := range wants {
			names := []string{plain(w.group + w.name), plain(w.name)}
			if w.also != "" && strings.HasPrefix(strings.Split(w.also, "_")[0], w.name) {
				names = slices.Insert(names, 1, plain(w.also))
			}
			k := slices.IndexFunc(names, func(n string) bool { _, ok := have[n]; return ok })
			if k < 0 {
				t.Errorf("%s: no constant %s %s, want %d", language, w.group, w.name, w.value)
			} else if got := have[names[k]]; got != w.value {
				t.Errorf("%s: %s %s is %d, want %d", language, w.group, w.name, got, w.value)
			}
		}
	}
}
