package proxy

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/policies"
)

// Status codes of gRPC (grpc/grpc: doc/statuscodes.md) that tell something of an endpoint, or that we answer with.
const (
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcDataLoss         = 15
)

var (
	grpcType        = []byte("application/grpc")
	grpcStatusName  = []byte("Grpc-Status")
	grpcMessageName = []byte("Grpc-Message")
)

// hearGRPC notes that the request is one of gRPC, and how long its client waits (grpc/grpc: doc/PROTOCOL-HTTP2.md).
func (x *exchange) hearGRPC() {
	l := x.head.find("content-type")
	if l == nil || !bytes.HasPrefix(x.head.value(l), grpcType) || x.method != policies.MethodPost {
		return
	}
	x.grpc = true
	if l := x.head.find("grpc-timeout"); l != nil {
		if d, ok := grpcTimeout(x.head.value(l)); ok {
			x.timeout = min(x.timeout, d)
		}
	}
}

// grpcTimeout reads at most eight digits and a unit.
func grpcTimeout(v []byte) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v[:len(v)-1]), 10, 32)
	if err != nil {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[v[len(v)-1]]
	return max(time.Duration(n)*unit, 1), ok
}

// grpcOutcome gives a response its class by the status of gRPC, if its head has one: such a response is nothing but that.
func (x *exchange) grpcOutcome(o *policies.Outcome) {
	v := x.resp.PeekCanonical(grpcStatusName)
	if x.grpc && o.Class == policies.OK && len(v) > 0 {
		o.Class = grpcClass(v)
	}
}

// grpcClass tells whether a status counts as a failure of the endpoint.
func grpcClass(status []byte) policies.Class {
	switch n, _ := strconv.Atoi(string(status)); n {
	case grpcUnknown, grpcDeadlineExceeded, grpcInternal, grpcUnavailable, grpcDataLoss:
		return policies.BadStatus
	}
	return policies.OK
}

// grpcTrailer gives the outcome its class by the status in a trailer section.
func (x *exchange) grpcTrailer(section []byte) {
	for line := range bytes.SplitSeq(section, crlf) {
		if name, value, ok := bytes.Cut(line, []byte{':'}); x.grpc && ok && bytes.EqualFold(name, grpcStatusName) {
			x.outcome.Class = grpcClass(trim(value))
		}
	}
}

// grpcAnswer makes an answer of our own one that clients of gRPC understand: a status of theirs, in the head.
func grpcAnswer(h *fasthttp.ResponseHeader, id problemID, status int) {
	code := grpcUnavailable
	switch {
	case status == fasthttp.StatusNotFound:
		code = grpcUnimplemented
	case status == fasthttp.StatusGatewayTimeout:
		code = grpcDeadlineExceeded
	case status < 500 && status != fasthttp.StatusTooManyRequests || status == fasthttp.StatusInternalServerError:
		code = grpcInternal
	}
	h.SetStatusCode(fasthttp.StatusOK)
	h.SetContentTypeBytes(grpcType)
	h.SetBytesKV(grpcStatusName, strconv.AppendInt(nil, int64(code), 10))
	h.SetBytesKV(grpcMessageName, []byte(problems[id].Title))
}
