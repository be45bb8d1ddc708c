package plugintest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weir-lb/weir/policies"
	"github.com/weir-lb/weir/policies/policytest"
)

// Header is the one header field of a request, and all that is known of it.
type Header struct {
	Name  string
	Value []byte
}

// Headers are n fields of that name, each with a value of its own.
func Headers(name string, n int) []*Header {
	all := make([]*Header, n)
	for k := range all {
		all[k] = NthHeader(name, k)
	}
	return all
}

// NthHeader is number k of Headers.
func NthHeader(name string, k int) *Header {
	return &Header{name, fmt.Appendf(nil, "%s-%d", name, k)}
}

// Attr implements policies.Attrs.
func (h *Header) Attr(policies.Attr) []byte { return nil }

// Header implements policies.Attrs.
func (h *Header) Header(name string) ([]byte, bool) { return h.Value, name == h.Name }

// Cookie implements policies.Attrs.
func (h *Header) Cookie(string) ([]byte, bool) { return nil, false }

// Request is number seq of a stream, with that header.
func (h *Header) Request(seq uint64) policies.Request {
	r := policytest.Request(1, seq)
	r.Attrs = h
	return r
}

// WithHeaders is p with one of the headers in each request, by the request's number, so that it is the same at each attempt.
func WithHeaders(p policies.Policy, headers []*Header) policies.Policy {
	return withHeaders{p, headers}
}

type withHeaders struct {
	policies.Policy
	headers []*Header
}

func (p withHeaders) Build(t *policies.Table) (policies.Picker, error) {
	pk, err := p.Policy.Build(t)
	return withHeadersPicker{pk, p.headers}, err
}

type withHeadersPicker struct {
	policies.Picker
	headers []*Header
}

func (p withHeadersPicker) Pick(r *policies.Request, v *policies.View) int {
	r.Attrs = p.headers[r.Seq%uint64(len(p.headers))]
	return p.Picker.Pick(r, v)
}

// Homes returns the endpoint that p sends each header to while nothing is in flight, by its ID. A pick for another reason
// than home is a failure.
func Homes(t testing.TB, p policies.Policy, v *policies.View, headers []*Header, home uint32) []string {
	t.Helper()
	pk := Picker(t, p, v.Table)
	ids := make([]string, len(headers))
	for k, h := range headers {
		r := h.Request(uint64(k))
		i := pk.Pick(&r, v)
		if i < 0 || r.Reason != home {
			t.Fatalf("%s was sent to %d for reason %d, want an endpoint for reason %d", h.Value, i, r.Reason, home)
		}
		ids[k] = v.Table.Endpoints[i].ID
	}
	return ids
}

// Endpoint is the ID of number i of a fleet.
func Endpoint(i int) string { return fmt.Sprintf("endpoint-%04d", i) }

// Fleet is a table of n endpoints of the weights 1, 2, 1, 2 and so on, without some of them.
func Fleet(gen uint32, n int, without ...int) *policies.Table {
	var all []policies.Endpoint
	for i := range n {
		if !slices.Contains(without, i) {
			all = append(all, policies.Endpoint{ID: Endpoint(i), Weight: uint32(1 + i%2)})
		}
	}
	return policytest.Table(gen, all...)
}
