package recording

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/weir-lb/weir/policies"
)

// codec writes or reads records. One function a thing describes both directions, so that they cannot part.
type codec struct {
	b       []byte // what is written so far, or left to read
	reading bool
	bad     bool // what was read is no record
}

var errRecord = errors.New("a record that means nothing")

type integer interface {
	~int | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// num is for numbers that are small as unsigned ones.
func num[T integer](c *codec, p *T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*p))
		return
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b, x, n = true, nil, 0, 0
	}
	*p, c.b = T(x), c.b[n:]
}

// signed is for numbers near 0.
func signed[T integer](c *codec, p *T) {
	z := uint64(int64(*p)<<1) ^ uint64(int64(*p)>>63)
	num(c, &z)
	*p = T(int64(z>>1) ^ -int64(z&1))
}

// delta is for numbers near that of the record before.
func delta[T integer](c *codec, p *T, before T) {
	d := int64(*p) - int64(before)
	signed(c, &d)
	*p = T(int64(before) + d)
}

func (c *codec) hash(p *uint64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, *p)
		return
	}
	if len(c.b) < 8 {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
}

func (c *codec) flag(p *bool) {
	var x uint8
	if *p {
		x = 1
	}
	num(c, &x)
	*p = x != 0
}

func (c *codec) text(p *string) {
	n := len(*p)
	num(c, &n)
	if !c.reading {
		c.b = append(c.b, *p...)
		return
	}
	if n < 0 || n > len(c.b) {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = string(c.b[:n]), c.b[n:]
}

// length is for the number of things that follow, each of at least one byte.
func (c *codec) length(n int) int {
	num(c, &n)
	if c.reading && (n < 0 || n > len(c.b)) {
		c.bad, n = true, 0
	}
	return n
}

// Bits of what differs from the request before.
const (
	hasKey = 1 << iota
	hasMethod
	hasClient
	hasPort
	hasRoute
	hasPath
	hasHost
	hasLength
	hasDeadline
	hasElapsed
	hasTries
	hasLast
	hasSticky
	hasCarried
)

func differences(r, b *policies.Request) (mask uint32) {
	for bit, differs := range [...]bool{
		r.KeyHash != b.KeyHash, r.Method != b.Method || r.Flags != b.Flags, r.ClientIP != b.ClientIP, r.ClientPort != b.ClientPort,
		r.Listener != b.Listener || r.Route != b.Route, r.PathHash != b.PathHash, r.HostHash != b.HostHash,
		r.ContentLength != b.ContentLength, r.Deadline != b.Deadline, r.Elapsed != b.Elapsed,
		r.Attempt != b.Attempt || r.NTried != b.NTried || r.Tried != b.Tried, r.Last != b.Last, r.StickyEP != b.StickyEP,
		answerOf(r, policies.Verdict{}) != answerOf(b, policies.Verdict{}) || r.Instance != b.Instance,
	} {
		if differs {
			mask |= 1 << bit
		}
	}
	return mask
}

// request describes the fields of r that say what is asked, by what differs from the request before.
func (c *codec) request(r, before *policies.Request) {
	delta(c, &r.Now, before.Now)
	delta(c, &r.Seq, before.Seq)
	c.hash(&r.Rand)
	var mask uint32
	if !c.reading {
		mask = differences(r, before)
	}
	num(c, &mask)
	if c.reading {
		now, seq, rnd := r.Now, r.Seq, r.Rand
		*r = *before
		r.Now, r.Seq, r.Rand = now, seq, rnd
	}
	has := func(bit uint32) bool { return mask&bit != 0 }
	if has(hasKey) {
		c.hash(&r.KeyHash)
	}
	if has(hasMethod) {
		num(c, &r.Method)
		num(c, &r.Flags)
	}
	if has(hasClient) {
		c.address(&r.ClientIP)
	}
	if has(hasPort) {
		num(c, &r.ClientPort)
	}
	if has(hasRoute) {
		num(c, &r.Listener)
		num(c, &r.Route)
	}
	if has(hasPath) {
		c.hash(&r.PathHash)
	}
	if has(hasHost) {
		c.hash(&r.HostHash)
	}
	if has(hasLength) {
		signed(c, &r.ContentLength)
	}
	if has(hasDeadline) {
		signed(c, &r.Deadline)
	}
	if has(hasElapsed) {
		signed(c, &r.Elapsed)
	}
	if has(hasTries) {
		num(c, &r.Attempt)
		if num(c, &r.NTried); int(r.NTried) > len(r.Tried) {
			c.bad, r.NTried = true, 0
		}
		for i := range r.Tried { // guests see what lies behind the last, too
			num(c, &r.Tried[i])
		}
	}
	if has(hasLast) {
		c.outcome(&r.Last)
	}
	if has(hasSticky) {
		signed(c, &r.StickyEP)
	}
	if has(hasCarried) {
		a := answerOf(r, policies.Verdict{})
		c.answer(&a)
		a.leave(r)
		num(c, &r.Instance)
	}
}

func (c *codec) address(p *[16]byte) {
	if !c.reading {
		c.b = append(c.b, p[:]...)
		return
	}
	if len(c.b) < len(p) {
		c.bad, c.b = true, nil
		return
	}
	c.b = c.b[copy(p[:], c.b):]
}

func (c *codec) indexes(n *uint8, list *[policies.MaxTried]uint32) {
	num(c, n)
	if int(*n) > len(list) {
		c.bad, *n = true, 0
	}
	for i := range list {
		if i < int(*n) {
			num(c, &list[i])
		} else if c.reading {
			list[i] = 0
		}
	}
}

func (c *codec) outcome(o *policies.Outcome) {
	signed(c, &o.Endpoint)
	num(c, &o.Class)
	num(c, &o.Status)
	c.flag(&o.Sent)
	signed(c, &o.FirstByte)
	signed(c, &o.Total)
	load := math.Float32bits(o.Load)
	num(c, &load)
	o.Load = math.Float32frombits(load)
}

func (c *codec) feedback(f *policies.Feedback, before int64) {
	c.outcome(&f.Outcome)
	delta(c, &f.Now, before)
	num(c, &f.Num)
	num(c, &f.Tag)
	num(c, &f.Shadow)
	num(c, &f.Instance)
	num(c, &f.Inflight)
	num(c, &f.Attempt)
	c.flag(&f.Final)
	c.flag(&f.Unmade)
	c.flag(&f.Loser)
}

// Bits of what an answer holds beside an endpoint.
const (
	hasVerdict = 1 << iota
	hasStatus
	hasTimes
	hasTag
	hasReason
	isSticky
	isNoRetry
	hasList
)

func (c *codec) answer(a *Answer) {
	var mask uint8
	if !c.reading {
		for bit, is := range [...]bool{
			a.Action != policies.Retry || a.After != 0, a.Status != 0, a.Timeout != 0 || a.Hedge != 0, a.Tag != 0, a.Reason != 0, a.Sticky,
			a.NoRetry, a.NList != 0,
		} {
			if is {
				mask |= 1 << bit
			}
		}
	}
	signed(c, &a.Endpoint)
	num(c, &mask)
	if c.reading {
		a.Action = policies.Retry
	}
	has := func(bit uint8) bool { return mask&bit != 0 }
	if has(hasVerdict) {
		num(c, &a.Action)
		signed(c, &a.After)
	}
	if has(hasStatus) {
		num(c, &a.Status)
	}
	if has(hasTimes) {
		signed(c, &a.Timeout)
		signed(c, &a.Hedge)
	}
	if has(hasTag) {
		num(c, &a.Tag)
	}
	if has(hasReason) {
		num(c, &a.Reason)
	}
	a.Sticky, a.NoRetry = has(isSticky), has(isNoRetry)
	if has(hasList) {
		c.indexes(&a.NList, &a.List)
	}
}
