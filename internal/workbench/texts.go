package workbench

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-lb/weir/internal/form"
	"github.com/weir-lb/weir/policies"
)

// texts are the forms that a text in a file of cases can have, by the tag as.
var texts = map[string]form.Text{
	"name":    form.Name,
	"address": {Want: "an IP address", OK: func(s string) bool { _, err := netip.ParseAddr(s); return err == nil }},
	"outcome": {Want: "a status 100..599, or one of " + strings.Join(classes(), ", "), OK: func(s string) bool { _, ok := parseOutcome(s); return ok }},
	"built-in": {Want: "one of " + strings.Join(policies.Names(), ", "), OK: func(s string) bool {
		return slices.Contains(policies.Names(), s)
	}},
}

// classes are the outcomes of which there is no status.
func classes() (names []string) {
	for c := policies.Refused; c < policies.BadStatus; c++ {
		if c != policies.PoolExhausted && c != policies.Cancelled {
			names = append(names, c.String())
		}
	}
	return names
}

// parseOutcome reads a status or the name of a class. A status of 500 and above speaks against the endpoint.
func parseOutcome(s string) (policies.Outcome, bool) {
	o := policies.Outcome{Load: -1}
	if i := slices.Index(classes(), s); i >= 0 {
		for c := policies.Refused; c < policies.BadStatus; c++ {
			if c.String() == s {
				o.Class = c
			}
		}
		o.Sent = o.Class == policies.Reset || o.Class == policies.HeaderTimeout || o.Class == policies.BodyTimeout || o.Class == policies.Malformed
		return o, true
	}
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || n < 100 || n > 599 {
		return o, false
	}
	o.Status, o.Sent = n, true
	if n >= 500 {
		o.Class = policies.BadStatus
	}
	return o, true
}

// share is an expected part of the requests: want +- within, both 0..1.
type share struct{ want, within float64 }

// defaultWithin is how far a share may be off if the case does not say.
const defaultWithin = 0.03

const shareForm = "a share such as 50%, or 50% ± 2"

func parseShare(s string) (share, bool) {
	what, within, bounded := strings.Cut(strings.ReplaceAll(s, "+-", "±"), "±")
	sh := share{within: defaultWithin}
	ok := percent(what, &sh.want, true)
	if bounded {
		ok = percent(within, &sh.within, false) && ok
	}
	return sh, ok
}

func percent(s string, x *float64, sign bool) bool {
	digits, found := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	*x = n / 100
	return err == nil && n >= 0 && n <= 100 && (found || !sign)
}
