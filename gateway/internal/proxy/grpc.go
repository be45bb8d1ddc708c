package proxy

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/grammar"
	"github.com/weir-lb/weir/gateway/internal/response"
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

const grpcType = "application/grpc"

const grpcStatusName = "Grpc-Status"

// isGRPC reports whether a request is a call of gRPC (grpc/grpc: doc/PROTOCOL-HTTP2.md).
func isGRPC(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), grpcType)
}

// hearDeadline notes how long the client of a call waits.
func (x *exchange) hearDeadline() {
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
	v := x.resp.Value(grpcStatusName)
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
		if name, value, ok := bytes.Cut(line, []byte{':'}); x.grpc && ok && grammar.EqualFold(name, grpcStatusName) {
			x.outcome.Class = grpcClass(grammar.Trim(value))
		}
	}
}

// grpcAnswer makes an answer of our own one that clients of gRPC understand: a status of theirs, in the head.
func grpcAnswer(h *response.Head, id problemID, status int) {
	code := grpcUnavailable
	switch {
	case status == fasthttp.StatusNotFound:
		code = grpcUnimplemented
	case status == fasthttp.StatusGatewayTimeout:
		code = grpcDeadlineExceeded
	case status < 500 && status != fasthttp.StatusTooManyRequests || status == fasthttp.StatusInternalServerError:
		code = grpcInternal
	}
	h.Status = fasthttp.StatusOK
	h.Set("Content-Type", []byte(grpcType))
	h.Set(grpcStatusName, strconv.AppendInt(nil, int64(code), 10))
	h.Set("Grpc-Message", []byte(problems[id].Title))
}
