// Package upstream holds connections to endpoints: one [Pool] an endpoint.
//
// It does not use fasthttp's HostClient, which gives the rest of one response to the next request, retries by itself,
// and turns a chunked body that was cut at the end of a chunk into a complete one. Here a connection goes back to its
// pool only if the response had a definite end that was reached, with not a byte after it; and before it is used again
// the socket is asked whether anything has happened on it since.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/weir-lb/weir/policies"
)

// epoch is the origin of the monotonic clock that deadlines and ages here are kept on.
var epoch = time.Now()

// now returns nanoseconds since epoch.
func now() int64 { return int64(time.Since(epoch)) }

// Error is a failure to get a response out of an endpoint.
type Error struct {
	Class policies.Class
	Err   error
}

// Error returns the class and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Class, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrPoolExhausted says that the endpoint has all the connections it may have, and none came free in time.
var ErrPoolExhausted = errors.New("no connection slot became free in time")

// ClassOf returns the class of an error of this package, and Reset for any other.
func ClassOf(err error) policies.Class {
	if e, ok := err.(*Error); ok {
		return e.Class
	}
	return policies.Reset
}

// dialClass tells apart why no connection came to be.
func dialClass(err error) policies.Class {
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return policies.Cancelled
	case errors.As(err, &dns):
		return policies.Unresolvable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return policies.ConnectTimeout
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return policies.PoolExhausted // the gateway is out of descriptors or ports: no fault of the endpoint
	}
	return policies.Refused
}
