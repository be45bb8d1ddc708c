package wasmhost

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/wasmhost/fuel"
)

// page is docs/ABI.md, which is normative. These tests hold the page, the code and the numbers below together: none of the
// three can change alone.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// part is what stands between two marks of the page.
func part(t *testing.T, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page(t), from)
	text, _, ended := strings.Cut(rest, to)
	if !ok || !ended {
		t.Fatalf("docs/ABI.md has nothing between %q and %q", from, to)
	}
	return text
}

// TestLayouts: code is the constant, at its value, words how the page has it.
func TestLayouts(t *testing.T) {
	for _, l := range []struct {
		from, to string
		fields   []field
	}{
		{"**Table header, 128 B**:", "**Endpoint", []field{
			{headerSize, 128, ""},
			{tableMagic, 0x3154424c, "(0x3154424c)"},
			{tabMagic, 0, "0 magic"},
			{tabGen, 4, "4 gen"},
			{tabN, 8, "8 n "},
			{tabEpOff, 12, "12 ep_off"},
			{tabEpStride, 16, "16 ep_stride (32)"},
			{tabStrOff, 20, "20 str_off"},
			{tabStrLen, 24, "24 str_len"},
			{tabUpGen, 28, "28 up_gen"},
			{tabNUp, 32, "32 n_up"},
			{tabUpOff, 36, "36 up_off"},
			{tabTierEnd, 40, "40 tier_end[4]"},
			{tabSelfZone, 56, "56 self_zone"},
			{tabFlags, 60, "60 flags (1 = panic"},
			{tablePanic, 1, ""},
			{tabColOff, 64, "64 col_off[16]"},
			{tableColumns, 16, ""},
		}},
		{"**Endpoint, 32 B**:", "**Columns", []field{
			{endpointSize, 32, ""},
			{epIDHash, 0, "0 id_hash u64"},
			{epID, 8, "8 id u32"},
			{epWeight, 12, "12 weight u32"},
			{epTier, 16, "16 tier u8"},
			{epFlags, 17, "17 flags u8"},
			{epZone, 18, "18 zone u16"},
			{epName, 20, "20 name_off"},
			{epMeta, 24, "24 meta_off"},
			{int(policies.SameZone), 1, "1 same zone"},
			{int(policies.Canary), 2, "2 canary"},
			{int(policies.Draining), 4, "4 draining"},
			{int(policies.Spare), 8, "8 spare"},
			{policies.MaxWeight, 65535, "1..65535"},
		}},
		{"**Columns, u32[n]**:", "**Request block", []field{
			{int(policies.ColHealth), 0, "0 health (0 down, 1 degraded, 2 up)"},
			{int(policies.Down), 0, ""},
			{int(policies.Degraded), 1, ""},
			{int(policies.Up), 2, ""},
			{int(policies.ColInflight), 1, "1 inflight"},
			{int(policies.ColEWMA), 2, "2 ewma_us"},
			{int(policies.ColErrPPM), 3, "3 err_ppm"},
			{int(policies.ColRPSMilli), 4, "4 rps_milli"},
			{int(policies.ColConsecutiveFail), 5, "5 consecutive_fail"},
			{int(policies.ColLoadPPM), 6, "6 load_ppm"},
			{int(policies.ColHeartbeatAgeMilli), 7, "7 heartbeat_age_ms"},
			{policies.NumColumns, 8, "8-15 reserved"},
			{policies.Unknown, 0xffffffff, "0xffffffff unknown"},
			{bigTable, 256, "above 256"},
			{staleAfter, 1e6, "1 ms old"},
		}},
		{"**Feedback record, 32 B**:", "**err**", []field{
			{recordSize, 32, ""},
			{fbTag, 0, "0 tag u64"},
			{fbID, 8, "8 ep_id u32"},
			{fbIndex, 12, "12 ep index or -1"},
			{fbStatus, 16, "16 status u16"},
			{fbErr, 18, "18 err u16"},
			{fbAttempt, 20, "20 attempt u8"},
			{fbFlags, 21, "21 flags u8"},
			{fbFinal, 1, "1 final"},
			{fbLoser, 2, "2 hedge loser"},
			{fbClientGone, 4, "4 client gone"},
			{fbUnmade, 8, "8 not made"},
			{fbLoad, 22, "22 load_permille u16"},
			{unknownLoad, 0xffff, "0xffff unknown"},
			{fbFirstByte, 24, "24 ttfb_us u32"},
			{fbTotal, 28, "28 total_us u32"},
		}},
		{"**err**:", "## 4", []field{
			{int(policies.OK), 0, "0 none"},
			{int(policies.Refused), 1, "1 refused"},
			{int(policies.ConnectTimeout), 2, "2 connect timeout"},
			{int(policies.Reset), 3, "3 reset before headers"},
			{int(policies.HeaderTimeout), 4, "4 header timeout"},
			{int(policies.BodyTimeout), 5, "5 body timeout"},
			{int(policies.TLSFailed), 6, "6 TLS"},
			{int(policies.Unresolvable), 7, "7 unresolvable"},
			{int(policies.Malformed), 8, "8 malformed response"},
			{int(policies.PoolExhausted), 9, "9 pool exhausted"},
			{int(policies.Cancelled), 10, "10 client cancelled"},
			{int(policies.BadStatus), 11, "11 bad status"},
		}},
		{"An optional export that is present", "## 3", []field{
			{allocRequest, 1, "1 request block (256 B)"},
			{allocTable, 2, "2 endpoint table"},
			{allocFeedback, 3, "3 feedback buffer"},
			{allocConfig, 4, "4 config"},
			{allocState, 5, "5 state"},
			{maxRecords, 64, "(64 x 32 B)"},
			{flagReplicable, 1, "bit 0 REPLICABLE"},
			{flagKeepOrder, 2, "bit 1 KEEP_ORDER"},
			{wantedShift, 32, "bits 32-47"},
			{maxState, 256 << 10, "256 KiB"},
		}},
		{"## 4. Results", "## 5", []field{
			{answerDefer, -1, "-1 DEFER"},
			{answerReject, -2, "-2 REJECT"},
			{answerList, -3, "-3 LIST"},
			{answerStop, -4, "-4 STOP"},
			{maxList, 8, "above 8"},
			{notFound, -1, "-1 not found"},
			{badID, -2, "-2 bad id"},
			{notNow, -3, "-3 not allowed in this phase"},
			{tooMany, -4, "-4 limit reached"},
		}},
		{"## 5. Host functions", "## 6", []field{
			{featureKV, 2, "(value 2) kv"},
			{featureEject, 4, "(value 4) eject"},
			{hostCallCharge, 100, "costs 100 fuel"},
			{hostByteShift, 2, "`len >> 2`"},
			{maxCounters, 256, "256 at most"},
			{maxSeries, 64, "64 series at most"},
			{kvCapacity, 1 << 20, "1 MiB a policy"},
			{kvOverhead, 128, "128 B an entry"},
			{leastTick, 100, "at least 100"},
			{int(policies.AttrPath), 1, "1 path"},
			{int(policies.AttrQuery), 2, "2 query"},
			{int(policies.AttrHost), 3, "3 host"},
			{int(policies.AttrMethod), 4, "4 method"},
			{int(policies.AttrSNI), 5, "5 sni"},
			{int(policies.AttrRoute), 6, "6 route"},
			{int(policies.AttrCluster), 7, "7 cluster"},
			{int(policies.AttrClientIP), 8, "8 client ip"},
			{int(policies.AttrClientIdentity), 9, "9 client identity"},
		}},
		{"## 6. Life", "## 7", []field{
			{initFuel, 50_000_000, "instantiate + init 50 M"},
			{endpointsFuel, 1_000_000, "endpoints 1 M"},
			{endpointFuel, 20_000, "20 k x n"},
			{maxEndpointsFuel, 50_000_000, "at most 50 M"},
			{pickFuel, 100_000, "pick, retry 100 k"},
			{int(ProfileGC().Pick), 5_000_000, "5 M"},
			{feedbackFuel, 50_000, "feedback 50 k"},
			{recordFuel, 2_000, "2 k x n"},
			{tickFuel, 2_000_000, "tick 2 M"},
			{stateFuel, 50_000_000, "save, restore 50 M"},
			{smallCallFuel, 1_000_000, "lb_alloc, lb_abi_v1 1 M"},
			{int(feedbackEvery.Milliseconds()), 10, "every 10 ms"},
			{dryRunPicks, 64, "64 `lb_pick` calls"},
			{dryRunEndpoints, 5, "table of 5"},
			{quarantineFailures, 5, ">= 5 failures"},
			{int(quarantineWindow.Seconds()), 10, "in 10 s"},
			{int(firstBackoff.Seconds()), 1, "back-off 1 s"},
			{int(longestBackoff.Minutes()), 5, "5 min"},
			{trialShare, 100, "1 % of picks"},
			{healedAfter, 1000, "1,000 clean"},
		}},
		{"## 7. Fuel", "## 8", []field{
			{fuel.MaxModule, 8 << 20, "module > 8 MiB"},
			{fuel.MaxCode, 1 << 20, "code > 1 MiB"},
			{fuel.MaxBody, 64 << 10, "body > 64 KiB"},
			{fuel.MaxLargeBody, 128 << 10, "with it a body > 128 KiB"},
			{fuel.MaxCompileWork, 3e9, "the compiler would need 3 s"},
			{fuel.MaxCompileSpace, 240 << 20, "or 240 MiB for"},
			{fuel.MaxLocals, 256, "> 256"},
			{fuel.MaxFuncs, 20_000, "functions > 20,000"},
			{fuel.MaxTableSize, 64 << 10, "64 Ki"},
			{fuel.MaxData, 4 << 20, "data > 4 MiB"},
			{fuel.EntryCharge, 64, "`64 + locals"},
			{fuel.PageCharge, 4096, "4096 a page"},
			{fuel.TableSlotCharge, 16, "16 an entry"},
			{fuel.BulkShift, 4, "`len >> 4`"},
		}},
	} {
		text := strings.Join(strings.Fields(part(t, l.from, l.to)), " ")
		for _, f := range l.fields {
			if f.code != f.value || !strings.Contains(text, strings.TrimSpace(f.words)) {
				t.Errorf("%s %q: the code has %d, the test %d, the page %q", l.from, f.words, f.code, f.value, text[:min(len(text), 80)])
			}
		}
	}
}

type field struct {
	code, value int
	words       string
}

// TestRequestBlock reads the table of the page.
func TestRequestBlock(t *testing.T) {
	want := map[string]int{
		"now_ns": reqNow, "rnd": reqRand, "key_hash": reqKeyHash, "seq": reqSeq, "gen": reqGen, "up_gen": reqUpGen, "method": reqMethod,
		"attempt": reqAttempt, "n_tried": reqNTried, "flags": reqFlags, "client_ip": reqClientIP, "client_port": reqClientPort, "listener": reqListener,
		"route": reqRoute, "path_hash": reqPathHash, "host_hash": reqHostHash, "content_length": reqContentLength, "deadline_ms": reqDeadline,
		"elapsed_us": reqElapsed, "last_ep": reqLastEndpoint, "last_status": reqLastStatus, "last_err": reqLastErr, "last_us": reqLastMicros,
		"sticky_ep": reqSticky, "tried": reqTried, "out_n": outN, "out_ep": outEndpoints, "out_timeout_ms": outTimeout, "out_hedge_ms": outHedge,
		"out_status": outStatus, "out_tag": outTag, "out_flags": outFlags, "out_reason": outReason,
	}
	got := map[string]int{}
	names := regexp.MustCompile(`[a-z][a-z0-9_]*`)
	for line := range strings.Lines(part(t, "| off | field |", "method: 0 other")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for k := 0; k+1 < len(cells); k += 3 {
			offsets := regexp.MustCompile(`\d+`).FindAllString(cells[k], -1)
			fields := strings.Split(strings.SplitN(cells[k+1], "(", 2)[0], "/")
			if strings.Contains(cells[k+1], "), ") { // "**192** | out_n u32, **196** out_ep[8] u32"
				fields = strings.Split(cells[k+1], ",")
			}
			if m := regexp.MustCompile(`^(.*), \*\*(\d+)\*\* (.*)$`).FindStringSubmatch(strings.TrimSpace(cells[k+1])); m != nil {
				offsets, fields = append(offsets, m[2]), []string{m[1], m[3]}
			}
			if strings.Contains(cells[k+1], ") / out_reason") {
				fields = []string{"out_flags", "out_reason"}
			}
			for i, o := range offsets {
				if i < len(fields) {
					n, _ := strconv.Atoi(o)
					got[names.FindString(fields[i])] = n
				}
			}
		}
	}
	delete(got, "reserved")
	for name, at := range want {
		if g, ok := got[name]; !ok || g != at {
			t.Errorf("%s: the code has it at %d, the page at %d (%v)", name, at, g, ok)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("the page has fields that the code does not know: %v", got)
	}
	if requestSize != 256 || reqOut != 192 {
		t.Errorf("%d bytes with the answers from %d, want 256 and 192", requestSize, reqOut)
	}
}

// TestHostFunctionsAreThoseOfThePage compares names and types, both ways.
func TestHostFunctionsAreThoseOfThePage(t *testing.T) {
	text := part(t, "(module `lb`", "Phases (else -3)")
	_, text, _ = strings.Cut(text, "```wat")
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9_]+)\(([^)]*)\)(?: -> (i32|i64))?`).FindAllStringSubmatch(text, -1) {
		var params []string
		for p := range strings.SplitSeq(m[2], ",") {
			if _, typ, ok := strings.Cut(strings.TrimSpace(p), " "); ok {
				params = append(params, typ)
			}
		}
		got = append(got, fmt.Sprintf("%s (%s) -> %s", m[1], strings.Join(params, " "), cmp.Or(m[3], "()")))
	}
	for _, f := range hostFunctions {
		want = append(want, fmt.Sprintf("%s %v", f.name, f.typ))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nthe code\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExportsAreThoseOfThePage(t *testing.T) {
	text := part(t, "## 2. Guest exports", "An optional export")
	var got, want []string
	for line := range strings.Lines(text) {
		m := regexp.MustCompile(`export "([a-z0-9_]+)"\)(.*)$`).FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[1] == memoryExport {
			continue
		}
		code, comment, _ := strings.Cut(m[2], ";;")
		types := func(kind string) string {
			var out []string
			for _, p := range regexp.MustCompile(`\(`+kind+`(?: \$[a-z_]+)? (i32|i64)\)`).FindAllStringSubmatch(code, -1) {
				out = append(out, p[1])
			}
			return strings.Join(out, " ")
		}
		got = append(got, fmt.Sprintf("%s (%s) -> %s %v", m[1], types("param"), cmp.Or(types("result"), "()"), strings.Contains(comment, "required")))
	}
	for _, e := range guestExports {
		want = append(want, fmt.Sprintf("%s %v %v", e.name, e.typ, e.required))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nthe code\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStepsAreThoseOfThePage(t *testing.T) {
	var steps []string
	for _, s := range []Step{StepSize, StepParse, StepVet, StepCompile, StepExports, StepInit, StepEndpoints, StepDryRun, StepRestore} {
		steps = append(steps, string(s))
	}
	if want := "`" + strings.Join(steps, " ") + "`"; !strings.Contains(page(t), want) {
		t.Errorf("docs/ABI.md does not name the steps %s", want)
	}
}
