package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Problem classifies why an answer was not taken.
type Problem struct {
	Kind ProblemKind
	Err  error
}

func (p *Problem) Error() string { return fmt.Sprintf("consul: %s: %v", p.Kind, p.Err) }

func (p *Problem) Unwrap() error { return p.Err }

// ProblemKind is what kind of failure kept a state from being fresh.
type ProblemKind string

// Kinds of problems.
const (
	Unreachable ProblemKind = "agent unreachable"
	Denied      ProblemKind = "permission denied"
	Filtered    ProblemKind = "ACLs hide part of the answer"
	Busy        ProblemKind = "agent is busy"
	NoLeader    ProblemKind = "no leader"
	Failed      ProblemKind = "agent failed"
	Refused     ProblemKind = "query refused"
	Garbled     ProblemKind = "answer is not understood"
	Doubted     ProblemKind = "answer is doubted"

	UnknownDatacenter ProblemKind = "unknown datacenter"
)

func classify(err error) *Problem {
	var status api.StatusError
	var network net.Error
	kind := Garbled
	switch {
	case errors.As(err, &status):
		switch {
		case status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized:
			kind = Denied
		case status.Code == http.StatusTooManyRequests:
			kind = Busy
		case strings.Contains(status.Body, "No cluster leader"):
			kind = NoLeader
		case status.Code >= 500:
			kind = Failed
		default:
			kind = Refused
		}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		kind = Unreachable
	}
	return &Problem{Kind: kind, Err: err}
}
