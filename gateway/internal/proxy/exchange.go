package proxy

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"
	"github.com/weir-lb/weir/gateway/internal/cluster"
	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/policies"
)

// exchange is one request and what becomes of it. Exchanges are reused; only what perRequest holds is cleared between.
type exchange struct {
	perRequest
	head head
	resp response.Head
	out  []byte // the head that endpoints get
	body body

	client []byte // who the client is, in text, if a policy asked
}

// perRequest is the part of an exchange that begins anew with each request.
type perRequest struct {
	server  *Server
	down    downstream
	conn    *conn
	table   *table
	arrived time.Time
	looked  time.Time // when the policy was last asked
	ended   time.Time // when the last attempt was; zero if the answer is not of it

	// What the client asked for.
	verb      []byte // the method as it came, a part of head.text like the next two
	uri       []byte // the target as it came
	proto     []byte // HTTP/1.1 or HTTP/1.0; nil if there is no request that could be read
	http10    bool
	http2     bool
	https     bool // the target is an https URL
	trailers  bool // the client wants to hear of trailers
	expects   bool // the client waits for a 100 before it sends the body
	continued bool // it was told to go on; the upload's mu guards it while there is one
	grpc      bool
	lasts     bool          // as long as both sides like: a call of gRPC, or a stream of events
	timeout   time.Duration // until the head of the response
	gone      bool          // the client is, and the attempt was ended for it
	tunneled  bool
	upgrade   []byte // what the client wants the connection to become, nil if nothing
	method    policies.Method
	host      []byte
	target    []byte // path and query
	path      []byte
	query     []byte

	// Who serves it.
	route    *route // nil until one is found
	admitted bool   // it counts as in flight in the cluster
	retried  bool   // it counts as a retry in flight
	snap     *cluster.Snapshot
	view     *policies.View // the part of the snapshot's view that the request has, or the whole
	draw     uint32         // which part that is
	req      policies.Request

	attempt         // the one in hand
	upload  *upload // a body that is on its way in another goroutine

	stream  stream
	status  int
	explain *explaining // nil unless the request asks for it

	// What the access log has beside that.
	id      uint64    // the X-Request-Id that the request was given; 0 if it had one
	problem problemID // the gateway's own answer
	sent    int64     // bytes of the response's body, or of the tunnel, that went to the client
	heard   int64     // bytes that came from the client by the tunnel
	cutBy   cutBy
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// handle serves one request. The answer may not be sent yet; give is to be called when it is.
func (x *exchange) handle(c *conn) {
	s := c.server
	x.server, x.conn, x.table, x.arrived = s, c, s.table.Load(), time.Now()
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
			x.explain = nil // whatever it was, this is no time for more of it
			x.refuse(internal, 0)
		}
	}()
	x.serve()
}

// serve takes the first steps; each problem ends the request.
func (x *exchange) serve() {
	if id := x.check(); id != noProblem {
		x.body.ended = false // wherever it ends: what follows is not to be read as a request
		x.refuse(id, 0)
		return
	}
	trusted := len(x.table.Trusted) > 0 && x.table.trusts(x.conn.listener, x.conn.addr)
	if !trusted && x.isMisdirected() { // a gateway before this one may have ended TLS, or speak for many hosts
		x.refuse(misdirected, 0)
		return
	}
	if len(x.table.ExplainToken) > 0 {
		x.askedToExplain()
	}
	if l := x.head.first(maxForwardsField); l != nil {
		if n, ok := x.maxForwards(l); ok && n == 0 {
			x.options()
			return
		}
	}
	if x.route = x.table.route(x.host, x.path, &x.head); x.route == nil {
		x.refuse(noRoute, 0)
		return
	}
	if x.explain != nil {
		x.explain.routed(x.route)
	}
	if n := x.route.cluster.active.Add(1); x.route.MaxRequests > 0 && n > int64(x.route.MaxRequests) {
		x.route.cluster.active.Add(-1)
		x.refuse(overloaded, 0)
		return
	}
	x.admitted = true
	if x.timeout = x.route.Timeout; x.grpc {
		x.hearDeadline()
	}
	if x.body.limit = x.table.MaxBody; x.body.limit > 0 && x.body.length > x.body.limit {
		x.refuse(largeBody, 0)
		return
	}
	if !x.expects {
		if x.fetch(); x.body.err != nil {
			x.refuse(x.badBody(), 0)
			return
		}
	}
	x.snap = x.route.Cluster.Load()
	x.describe(trusted, x.route.Cluster.NextSeq())
	if id := x.rewrite(trusted); id != noProblem {
		x.refuse(id, 0)
		return
	}
	x.run()
}

// options answers an OPTIONS that is not to be forwarded.
func (x *exchange) options() {
	x.resp.Reset(fasthttp.StatusNoContent)
	x.resp.Add("Allow", allowed)
	x.status = fasthttp.StatusNoContent
	x.answer(&x.resp, nil)
	x.finish()
}

// describe fills in what policies may know of the request.
func (x *exchange) describe(trusted bool, seq uint64) {
	r := &x.req
	client := x.clientAddr(trusted)
	*r = policies.Request{
		Seq:           seq,
		Method:        x.method,
		ClientIP:      client.As16(),
		Listener:      x.conn.number,
		Route:         x.route.index,
		PathHash:      xxhash.Sum64(x.path),
		HostHash:      xxhash.Sum64(x.host),
		ContentLength: x.body.length,
		StickyEP:      policies.None,
		Attrs:         (*attrs)(x),
		Instance:      r.Instance, // a hint: who served the last request here
	}
	r.Last.Endpoint = policies.None
	if client == x.conn.addr { // of another's, nobody knows it
		r.ClientPort = x.conn.port
	}
	if k := x.snap.Sticky; k != nil {
		if token, ok := x.head.cookie(k.Cookie); ok {
			r.StickyEP = k.Endpoint(token)
		}
	}
	if x.method.Idempotent() {
		r.Flags |= policies.Idempotent
	}
	if x.conn.scheme == "https" {
		r.Flags |= policies.TLS
	}
	if key, ok := x.key(r.ClientIP[:]); ok {
		r.KeyHash = xxhash.Sum64(key)
		r.Flags |= policies.HasKey
	}
	x.enterPart()
	if x.explain != nil {
		x.explain.describe(x)
	}
}

// refresh brings up to date what changes between calls of the policy.
func (x *exchange) refresh() {
	r := &x.req
	x.looked = time.Now()
	r.Now, r.Rand, r.Elapsed = x.looked.UnixNano(), rand.Uint64(), x.looked.Sub(x.arrived)
	r.Deadline = max(x.timeout-r.Elapsed, 1) // 0 would mean that there is none
	r.Flags &^= policies.Replayable | policies.LastTry
	if x.upload == nil && !x.body.lost {
		r.Flags |= policies.Replayable
	}
	if int(r.Attempt)+1 >= x.route.Attempts {
		r.Flags |= policies.LastTry
	}
}

// refuse answers the request with a problem and ends it. status replaces the problem's own unless it is 0.
func (x *exchange) refuse(id problemID, status int) {
	x.dropAttempt()
	x.ended = time.Time{}
	body := answer(&x.resp, id, status)
	x.status = x.resp.Status
	if x.grpc {
		grpcAnswer(&x.resp, id, x.status)
		body = nil
	}
	x.server.stats.rejected[id].Add(1)
	x.problem = id
	if x.explain != nil {
		x.explain.Problem = problems[id].Name
		x.explain.answer(x, &x.resp)
	}
	x.answer(&x.resp, body)
	x.finish()
}

// answer gives the client the whole of a response.
func (x *exchange) answer(h *response.Head, body []byte) {
	if x.sent = 0; !bodiless(x, h) {
		x.sent = int64(len(body))
	}
	x.down.whole(x, h, body)
}

// dropAttempt ends an attempt of which nothing more is wanted.
func (x *exchange) dropAttempt() {
	if x.up != nil {
		x.stopUpload()
		x.abort()
	}
	x.end(&x.attempt)
}

// finish counts the request. The answer may not be sent yet.
func (x *exchange) finish() {
	x.report(&x.attempt, true)
	if x.explain != nil {
		x.explain.finish(x)
	}
	if x.route != nil {
		cs := x.route.cluster
		x.route.stats.count(x.status)
		if x.admitted {
			if !x.tunneled {
				cs.latency.observe(x.lasted())
			}
			cs.active.Add(-1)
		}
		x.leaveBudget()
	} else {
		x.server.stats.unrouted.count(x.status)
	}
}

// give gives the exchange back, when all of the answer is sent, or it is known that it will not be: broken.
func (x *exchange) give(broken bool) {
	if x.table.Access != nil {
		x.log(broken)
	}
	x.recycle()
}

// recycle makes the exchange another request's.
func (x *exchange) recycle() {
	instance := x.req.Instance
	x.perRequest = perRequest{}
	x.req.Instance = instance
	if cap(x.body.buf) > maxKeptBuffer {
		x.body.buf = nil
	}
	x.body = body{buf: x.body.buf[:0], chunks: x.body.chunks}
	if cap(x.out) > maxKeptBuffer {
		x.out = nil
	}
	x.resp.Trim(maxKeptBuffer)
	if x.head.n, x.head.facts = 0, (facts{}); cap(x.head.text) > maxKeptBuffer {
		x.head.text = nil
	}
	exchanges.Put(x)
}

// lasted returns how long the exchange took: till the end of its last attempt, if there was one.
func (x *exchange) lasted() time.Duration {
	if x.ended.IsZero() {
		return time.Since(x.arrived)
	}
	return x.ended.Sub(x.arrived)
}

// maxKeptBuffer is the largest buffer that a reused exchange keeps.
const maxKeptBuffer = 16 << 10
