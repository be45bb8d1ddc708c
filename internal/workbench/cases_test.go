package workbench

import (
	"strings"
	"testing"
)

// TestCases tells one story each, of which the expectations hold (want is "") or do not.
func TestCases(t *testing.T) {
	const three = "endpoints: [{name: a}, {name: b}, {name: c, tier: 1}]\n"
	for name, tc := range map[string]struct{ module, head, steps, want string }{
		"picks_in_turn":   {"round-robin", three, "- {send: {requests: 4}, expect: {picks: [a, b, a, b], never: [c]}}", ""},
		"picks_otherwise": {"round-robin", three, "- {send: {requests: 3}, expect: {picks: [a, a, b]}}", "cases.yaml:5: where the requests go, in turn; want a, a, b; got a, b, a"},
		"never_but_it_did": {
			"round-robin", three, "- {send: {requests: 2}, expect: {never: [b]}}",
			"cases.yaml:5: no attempt goes to b; want none; got request 2 of 2, at 1ms went there",
		},
		"down_gets_nothing": {"round-robin", three, "- {set: {a: {state: down}}, send: {requests: 9}, expect: {pick: b}}", ""},
		"pick_is_another":   {"round-robin", three, "- {send: {}, expect: {pick: c}}", "cases.yaml:5: where the first attempt goes; want c; got a"},
		"shares":            {"p2c", three, "- {send: {requests: 2000}, expect: {share: {a: 50%, b: 50% ± 2, c: 0% ± 0}}}", ""},
		"shares_by_weight":  {"p2c", "endpoints: [{name: a, weight: 3}, {name: b}]\n", "- {send: {requests: 4000, every: 100us}, expect: {share: {a: 75%, b: 25%}}}", ""},
		"shares_are_off": {
			"round-robin", three, "- {send: {requests: 10}, expect: {share: {a: 60%, c: 10% +- 1}}}",
			"cases.yaml:5: shares of 10 requests; want a 60% ± 3, c 10% ± 1; got a 50%, b 50%",
		},
		"a_request_that_fails_goes_elsewhere": {
			"round-robin", three, "- {set: {a: {answers: refused}, b: {answers: 503}}, send: {}, expect: {pick: a, retries: [b, c], attempts: 3, ends: 200}}", "",
		},
		"it_ends_otherwise": {
			"round-robin", three, "- {set: {a: {answers: refused}, b: {answers: 503}, c: {answers: header_timeout}}, send: {}, expect: {retries: [b], attempts: 2, ends: 200}}",
			"cases.yaml:5: where the further attempts go, in turn; want b; got b, c\ncases.yaml:5: how many attempts there are; want 2; got 3\n" +
				"cases.yaml:5: how the last attempt ends; want 200; got header_timeout",
		},
		"what_must_not_be_repeated_is_not": {
			"round-robin", three, "- {set: {a: {answers: reset}}, send: {method: POST}, expect: {attempts: 1, ends: reset}}", "",
		},
		"attempts_are_bounded": {"round-robin", three, "- {set: {a: {answers: 502}, b: {answers: 502}}, send: {attempts: 2}, expect: {attempts: 2, ends: 502}}", ""},
		"busy_is_left_alone":   {"p2c", three, "- {set: {a: {columns: {inflight: 99}}}, send: {requests: 30}, expect: {pick: b}}", ""},
		"slow_fills_up_and_gets_less": {
			"p2c", "endpoints: [{name: a, takes: 200ms}, {name: b, takes: 1ms}]\n",
			"- {send: {requests: 300}, expect: {share: {a: 5% ± 5}}}", "",
		},
		"attempts_that_go_on_count": {
			"p2c", "endpoints: [{name: a, takes: 10s}, {name: b, takes: 10s}]\n",
			"- {send: {requests: 20, every: 0s, wait: false}, expect: {share: {a: 50%, b: 50%}}}\n      - {after: 1s, send: {requests: 2, every: 0s, wait: false}, expect: {share: {a: 50%, b: 50%}}}", "",
		},
		"endpoints_come_and_go": {
			"round-robin", three, "- {remove: [a], add: [{name: d}], send: {requests: 20}, expect: {share: {b: 50%, d: 50%}}}\n      - {remove: [b, d], send: {}, expect: {pick: c}}", "",
		},
		"a_deadline_ends_what_takes_longer": {
			"round-robin", three, "- {set: {a: {takes: 1m}}, send: {attempts: 1, deadline: 2s}, expect: {pick: a, ends: header_timeout}}\n      - {at: 2s, send: {}, expect: {pick: b}}", "",
		},
		"attempts_share_the_deadline": {
			"round-robin", three, "- {set: {a: {takes: 1m}}, send: {attempts: 2, deadline: 2s}, expect: {pick: a, retries: [b], ends: 200}}\n      - {at: 1010ms, send: {}}", "",
		},
		"no_endpoint_has_weight": {"round-robin", "endpoints: [{name: a, weight: 0}]\n", "- {send: {}, expect: {pick: a}}", "cases.yaml:5: where the first attempt goes; want a; got no endpoint"},
		"time_is_told":           {"round-robin", three, "- {at: 1s, send: {}}\n      - {at: 5ms, send: {}}", "cases.yaml:6: the step before has not ended by then; want at most 5ms; got 1.01s"},
		"rejected": {
			"seat-limited", "endpoints: [{name: a, takes: 1s, meta: {seats: \"1\"}}]\nlaws: {may_reject: true}\n",
			"- {send: {wait: false}, expect: {pick: a}}\n      - {send: {}, expect: {reject: 429}}", "",
		},
		"not_rejected": {"round-robin", three, "- {send: {}, expect: {reject: 429}}", "cases.yaml:5: what the request is rejected with; want 429; got nothing: it went to a"},
		"the_same":     {"round-robin", three, "- {set: {a: {state: down}}, send: {requests: 10, key: \"user {i}\"}, expect: {same: true}}", ""},
		"not_the_same": {"round-robin", three, "- {send: {requests: 2}, expect: {same: true}}", "cases.yaml:5: where the first attempt goes, as that of the first request; want a; got b (request 2 of 2, at 1ms)"},
		"not_sticky":   {"round-robin", three, "- {send: {}, expect: {sticky: yes}}", "cases.yaml:5: whether the client is bound to the endpoint; want yes; got no"},
		"no_reason":    {"round-robin", three, "- {send: {}, expect: {reason: 7}}", "cases.yaml:5: out_reason; want 7; got 0"},
		"nothing_is_up": {
			"round-robin", three, "- {set: {a: {state: down}, b: {state: down}, c: {state: down}}, send: {}, expect: {pick: a}}",
			"cases.yaml:5: where the first attempt goes; want a; got no endpoint",
		},
		"sessions_stay": {
			"sticky-drain", "endpoints: [{name: a}, {name: b}]\n",
			"- {send: {session: s}, expect: {sticky: yes}}\n      - {send: {session: s, requests: 10}, expect: {same: true}}", "",
		},
		"a_config_of_its_own": {"round-robin", three + "config: {x: 1}\n", "- {send: {}}", "refused at step init: lb_init rejects the config of 7 bytes: it answered -1"},
		"a_guest_that_lies":   {"stubborn", three, "- {set: {a: {state: down}}, send: {}}", "cases.yaml:3: the guest named an endpoint that is down or was tried once: the fallback decided instead"},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject(t, tc.module)
			text := tc.head + "cases:\n  - name: " + name + "\n    steps:\n      " + tc.steps + "\n"
			c, err := ParseCases("cases.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if _, err := s.Admit(c); err != nil {
				got = err.Error()
			} else {
				s.Run(c, func(r Result) { got += failures(r) })
			}
			if got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	const text = "endpoints: [{name: a}, {name: b}, {name: c}]\ncases:\n  - name: x\n    steps: [{send: {requests: 200}, expect: {share: {a: 0% ± 0}}}]\n"
	first := failures(tell(t, subject(t, "p2c"), text)[0])
	if again := failures(tell(t, subject(t, "p2c"), text)[0]); first != again || first == "" {
		t.Errorf("%s\n%s", first, again)
	}
	other := subject(t, "p2c")
	other.Seed = 2
	if got := failures(tell(t, other, text)[0]); got == first {
		t.Errorf("another seed gives the same: %s", got)
	}
}

func TestMistakesInCasesAreToldAllAtOnce(t *testing.T) {
	const text = `lows: {}
laws: {shares: evenly, meta: {a: 1}}
endpoints: [{name: a}, {name: a}, {weight: 70000}]
cases:
  - steps: []
  - name: x
    endpoints: [{name: a, answers: 99, state: gone}]
    steps:
      - set: {b: {wait: 1}, a: {name: c}}
      - remove: [z]
      - send: {requests: 2, every: 5}
        expect: {picks: [a], share: {a: half}, never: [q], retrys: []}
      - expect: {pick: a}
      - {at: 1s, after: 1s}
      - send: {wait: false, session: s}
        expect: {attempts: 2}
  - name: x
    steps: [{send: {}, expect: {}}]
`
	want := strings.TrimSpace(`
cases.yaml:1:1: lows: got an unknown key, want a known one (did you mean "laws"?)
cases.yaml:3:31: endpoints[1].name: got "a", want each name once
cases.yaml:3:35: endpoints[2].name: got nothing, want the name of the endpoint
cases.yaml:3:44: endpoints[2].weight: got "70000", want a whole number, 0..65535
cases.yaml:5:5: cases[0].name: got nothing, want what the case shows, in words
cases.yaml:5:5: cases[0].steps: got none, want at least one
cases.yaml:7:36: cases[1].endpoints[0].answers: got "99", want a status 100..599, or one of refused, connect_timeout, reset, header_timeout, body_timeout, tls, unresolvable, malformed
cases.yaml:7:47: cases[1].endpoints[0].state: got "gone", want one of up, degraded, down
cases.yaml:9:15: cases[1].steps[0].set.b: got "b", want the name of an endpoint that is there (did you mean "a"?)
cases.yaml:9:19: cases[1].steps[0].set.b.wait: got an unknown key, want a known one: answers, canary, columns, meta, name, spare, state, takes, tier, weight, zone
cases.yaml:9:39: cases[1].steps[0].set.a.name: got "c", want it left out: an endpoint keeps its name
cases.yaml:10:18: cases[1].steps[1].remove[0]: got "z", want the name of an endpoint that is there (did you mean "a"?)
cases.yaml:11:36: cases[1].steps[2].send.every: got "5", want a duration such as 30s or 100ms, 0s..1h
cases.yaml:12:18: cases[1].steps[2].expect.picks: got 1 names, want one for each of the 2 requests
cases.yaml:12:41: cases[1].steps[2].expect.share.a: got "half", want a share such as 50%, or 50% ± 2
cases.yaml:12:56: cases[1].steps[2].expect.never[0]: got "q", want the name of an endpoint that is there (did you mean "a"?)
cases.yaml:12:60: cases[1].steps[2].expect.retrys: got an unknown key, want a known one (did you mean "retries"?)
cases.yaml:13:9: cases[1].steps[3].expect: got expectations, want requests to have them of: a send in the same step
cases.yaml:14:25: cases[1].steps[4].after: got at and after, want one of them
cases.yaml:15:22: cases[1].steps[5].send.wait: got false, want true: the session is known when the requests have ended
cases.yaml:16:28: cases[1].steps[5].expect.attempts: got an expectation of how requests end, want send.wait: true
cases.yaml:17:11: cases[2].name: got "x", want another one than cases[1] has
cases.yaml:18:24: cases[2].steps[0].expect: got nothing, want an expectation
`)
	_, err := ParseCases("cases.yaml", []byte(text))
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
