package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/policies"
)

// maxRest is the longest that an endpoint is spared retries because it said so.
const maxRest = 5 * time.Minute

// hearRetryAfter notes how long the endpoint of the response in hand, if there is one, wants no requests again (RFC 9110, section
// 10.2.3; RFC 6585, section 4).
func (x *exchange) hearRetryAfter() {
	if s := x.outcome.Status; s != fasthttp.StatusServiceUnavailable && s != fasthttp.StatusTooManyRequests || x.endpoint == nil {
		return
	}
	now := time.Now()
	if d := restFor(string(x.resp.Value("Retry-After")), now); d > 0 {
		x.endpoint.Rest(now.Add(min(d, maxRest)))
	}
}

// restFor reads a Retry-After field: seconds, or a date. What it cannot read is 0.
func restFor(field string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(field, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return at.Sub(now)
	}
	return 0
}

// rests reports whether endpoint i wants no retries now.
func (x *exchange) rests(i int) bool {
	return i >= 0 && i < len(x.snap.Endpoints) && x.snap.Endpoints[i].Rests(time.Now())
}

// pickRested is pick of an endpoint that does not rest: those that do count as tried.
func (x *exchange) pickRested() int {
	for range policies.MaxTried {
		i := x.pick()
		if !x.rests(i) {
			return i
		}
		x.unmade(i)
		x.req.MarkTried(uint32(i))
	}
	return policies.None
}
