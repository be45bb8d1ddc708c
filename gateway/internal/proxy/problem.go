package proxy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// problemID names a reason why the gateway itself answers a request.
type problemID uint8

const (
	noProblem problemID = iota
	// The request.
	badRequest
	proxyHeader
	bareLF
	folded
	badField
	aliasField
	badLength
	twoFramings
	badHost
	badTarget
	badBody
	largeBody
	longTarget
	tooManyFields
	headTimeout
	methodNotAllowed
	unknownMethod
	unknownCoding
	expectationFailed
	badVersion
	noRoute
	loop
	misdirected
	// The cluster.
	noEndpoint
	overloaded
	rejected
	poolExhausted
	refused
	reset
	malformed
	tlsFailed
	unresolvable
	connectTimeout
	headerTimeout
	internal
	numProblems
)

// problemBase is what the type of a problem begins with. The rest is its name, which is stable.
const problemBase = "https://github.com/weir-lb/weir/blob/main/docs/PROBLEMS.md#"

// Problem describes one of the gateway's own answers.
type Problem struct {
	Name   string // also the reason label of weir_rejected_requests_total
	Status int
	Title  string

	body []byte // problem+json, RFC 9457
}

var problems = func() (all [numProblems]Problem) {
	add := func(id problemID, status int, name, title string) {
		p := Problem{Name: name, Status: status, Title: title}
		p.body, _ = json.Marshal(struct {
			Type   string `json:"type"`
			Title  string `json:"title"`
			Status int    `json:"status"`
		}{problemBase + name, title, status})
		all[id] = p
	}
	add(badRequest, 400, "bad_request", "The request is not HTTP/1.1.")
	add(proxyHeader, 400, "proxy_header", "A PROXY header came from a peer that is not trusted to send one.")
	add(bareLF, 400, "bare_lf", "A line of the request's head does not end with CRLF.")
	add(folded, 400, "folded_field", "A header field goes over more than one line.")
	add(badField, 400, "bad_field", "A header field has no name, or a character in name or value that does not belong there.")
	add(aliasField, 400, "alias_field", "A header field's name has an underscore and is otherwise the name of a protected field.")
	add(badLength, 400, "bad_length", "A Content-Length that is not one number of bytes.")
	add(twoFramings, 400, "two_framings", "Content-Length and Transfer-Encoding together, or one of them twice.")
	add(badHost, 400, "bad_host", "Not exactly one Host, or one that is no host and port.")
	add(badTarget, 400, "bad_target", "The request target is neither a path nor an http URL, or climbs with '..'.")
	add(badBody, 400, "bad_body", "The request's body is malformed or incomplete.")
	add(largeBody, 413, "large_body", "The request's body is larger than the gateway takes.")
	add(longTarget, 414, "long_target", "The request line is too long.")
	add(tooManyFields, 431, "too_many_fields", "Too many header fields, or too long ones.")
	add(headTimeout, 408, "request_timeout", "The request did not arrive in time.")
	add(methodNotAllowed, 405, "method_not_allowed", "CONNECT and TRACE are not served.")
	add(unknownMethod, 501, "unknown_method", "The method is not known; methods are case-sensitive.")
	add(unknownCoding, 501, "unknown_coding", "A transfer coding other than chunked.")
	add(expectationFailed, 417, "expectation_failed", "An expectation other than 100-continue.")
	add(badVersion, 505, "bad_version", "The version is neither HTTP/1.1 nor HTTP/1.0.")
	add(noRoute, 404, "no_route", "No route matches the request's host and path.")
	add(loop, 508, "loop", "The request has passed this gateway before.")
	add(misdirected, 421, "misdirected", "The connection is not for the host or the scheme of the request.")
	add(noEndpoint, 503, "no_endpoint", "No endpoint of the cluster can take the request.")
	add(overloaded, 503, "overloaded", "The cluster has all the requests it may have.")
	add(rejected, 503, "rejected", "The cluster's policy refuses the request.")
	add(poolExhausted, 503, "pool_exhausted", "The endpoint has all the connections it may have.")
	add(refused, 502, "connection_refused", "The endpoint refused the connection.")
	add(reset, 502, "connection_reset", "The endpoint ended the connection without a response.")
	add(malformed, 502, "malformed_response", "The endpoint's response is not HTTP that this gateway accepts.")
	add(tlsFailed, 502, "tls_failed", "TLS with the endpoint failed.")
	add(unresolvable, 502, "unresolvable", "The endpoint's name has no address.")
	add(connectTimeout, 504, "connect_timeout", "The endpoint did not accept a connection in time.")
	add(headerTimeout, 504, "response_timeout", "The endpoint did not respond in time.")
	add(internal, 500, "internal", "The gateway failed.")
	return all
}()

// Problems returns every answer of the gateway's own, for the documentation.
func Problems() []Problem { return problems[1:] }

// classProblems maps the outcome of the last attempt to what its client is told.
var classProblems = [policies.NumClasses]problemID{
	policies.Refused: refused, policies.ConnectTimeout: connectTimeout, policies.Reset: reset,
	policies.HeaderTimeout: headerTimeout, policies.BodyTimeout: headerTimeout, policies.TLSFailed: tlsFailed,
	policies.Unresolvable: unresolvable, policies.Malformed: malformed, policies.PoolExhausted: poolExhausted,
	policies.Cancelled: badBody,
}

// answer makes problem id the response, and returns its body. status is the problem's own if it is 0.
func answer(h *response.Head, id problemID, status int) []byte {
	p := &problems[id]
	body := p.body
	if status == 0 || status == p.Status {
		status = p.Status
	} else {
		body = []byte(strings.Replace(string(body), fmt.Sprintf(`"status":%d`, p.Status), fmt.Sprintf(`"status":%d`, status), 1))
	}
	h.Reset(status)
	h.Add("Content-Type", problemType)
	h.Add("Cache-Control", noStore)
	switch {
	case status == fasthttp.StatusServiceUnavailable || status == fasthttp.StatusTooManyRequests:
		h.Add("Retry-After", oneSecond)
	case id == methodNotAllowed:
		h.Add("Allow", allowed)
	}
	return body
}

var (
	problemType = []byte("application/problem+json")
	noStore     = []byte("no-store")
	oneSecond   = []byte("1")
	allowed     = []byte("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
)
