//go:build wasip1

package lb

import "unsafe"

// Log writes a line at level 0 debug, 1 info, 2 warn or 3 error.
//
//go:wasmimport lb log
func Log(level int32, text string)

// What Attr is asked for.
const (
	AttrPath int32 = iota + 1
	AttrQuery
	AttrHost
	AttrMethod
	AttrSNI
	AttrRoute
	AttrCluster
	AttrClientIP
	AttrClientIdentity
)

// What host functions answer below 0.
const (
	NotFound   int32 = -1
	BadID      int32 = -2
	NotNow     int32 = -3
	Limit      int32 = -4
	FeatureOff int32 = -5
)

// Attr writes text of the request to buf and returns its length; nothing is written if it exceeds n.
//
//go:wasmimport lb attr
func Attr(what int32, buf *byte, n uint32) int32

// HeaderID interns the name of a header field; in lb_init only.
//
//go:wasmimport lb header_id
func HeaderID(name string) int32

// Header writes the value of a field to buf, like Attr.
//
//go:wasmimport lb header
func Header(id int32, buf *byte, n uint32) int32

// HeaderHash is the hash of a field, 0 if there is none; in lb_pick and lb_retry only.
//
//go:wasmimport lb header_hash
func HeaderHash(id int32, seed uint64) uint64

// HeaderEq is 1 if the field has that value, else 0.
//
//go:wasmimport lb header_eq
func HeaderEq(id int32, value string) int32

// CookieHash is the hash of a cookie, 0 if there is none; in lb_pick and lb_retry only.
//
//go:wasmimport lb cookie_hash
func CookieHash(name string, seed uint64) uint64

// Hash64 is xxh64.
//
//go:wasmimport lb hash64
func Hash64(text string, seed uint64) uint64

// Rand64 is a random number of the host, which a replay repeats.
//
//go:wasmimport lb rand64
func Rand64() uint64

// NowNS is the host's clock.
//
//go:wasmimport lb now_ns
func NowNS() uint64

// EpMeta writes the value of endpoint ep for a key to buf, like Attr. Table.Meta reads it without a call.
//
//go:wasmimport lb ep_meta
func EpMeta(ep uint32, key string, buf *byte, n uint32) int32

// CtrID names a counter that all instances of the policy share; in lb_init only.
//
//go:wasmimport lb ctr_id
func CtrID(name string) int32

// CtrAdd returns the new value.
//
//go:wasmimport lb ctr_add
func CtrAdd(id int32, delta int64) int64

// CtrCAS is 1 if the counter was old, and is new now.
//
//go:wasmimport lb ctr_cas
func CtrCAS(id int32, old, new int64) int32

// KVGet writes a value to buf, like Attr.
//
//go:wasmimport lb kv_get
func KVGet(key string, buf *byte, n uint32) int32

// KVSet keeps a value for so long.
//
//go:wasmimport lb kv_set
func KVSet(key, value string, ttlMS uint32) int32

// MetricID names a series, kind 0 a counter, 1 a gauge; in lb_init only.
//
//go:wasmimport lb metric_id
func MetricID(kind int32, name string) int32

// MetricAdd adds to a series.
//
//go:wasmimport lb metric_add
func MetricAdd(id int32, v int64)

// SetTick asks for lb_tick every so many milliseconds, at least 100; in lb_init only.
//
//go:wasmimport lb set_tick
func SetTick(ms uint32) int32

// Eject takes an endpoint out of traffic for so long, within the cluster's max_ejected.
//
//go:wasmimport lb eject
func Eject(ep, ms uint32) int32

// Setting is one pair of a configuration: a whole number, or a string.
type Setting struct {
	Key      string
	IsNumber bool
	Number   uint64
	Text     string
}

// Settings walks a configuration that is one flat JSON object of whole numbers below 2^53 and strings, without escapes.
type Settings struct {
	text   string
	at     int
	failed bool
}

// NewSettings takes what lb_init gets. The pointer of an empty configuration may be anything.
func NewSettings(config, n uint32) Settings {
	if n == 0 {
		return Settings{}
	}
	return Settings{text: unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(nil), config)), n)}
}

// Next answers false at the end, and when the text is anything else: then Failed is true. No text at all is no settings.
func (s *Settings) Next() (p Setting, ok bool) {
	if s.text == "" || s.failed {
		return p, false
	}
	first := s.at == 0
	s.failed = true
	if first && !s.take('{') {
		return p, false
	}
	if s.take('}') {
		s.failed = s.peek() != 0
		s.text = ""
		return p, false
	}
	if !first && !s.take(',') {
		return p, false
	}
	if p.Key, ok = s.quoted(); !ok || !s.take(':') {
		return p, false
	}
	if p.IsNumber = s.peek() != '"'; p.IsNumber {
		p.Number, ok = s.number()
	} else {
		p.Text, ok = s.quoted()
	}
	s.failed = !ok
	return p, ok
}

// Failed tells whether the text was no such configuration.
func (s *Settings) Failed() bool { return s.failed }

func (s *Settings) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *Settings) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *Settings) quoted() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	for begin := s.at; s.at < len(s.text); {
		s.at++
		switch s.text[s.at-1] {
		case '"':
			return s.text[begin : s.at-1], true
		case '\\':
			return "", false
		}
	}
	return "", false
}

func (s *Settings) number() (x uint64, ok bool) {
	begin := s.at
	for ; s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9'; s.at++ {
		if x = x*10 + uint64(s.text[s.at]-'0'); x>>53 != 0 {
			return 0, false
		}
	}
	digits := s.at - begin
	return x, digits == 1 || digits > 1 && s.text[begin] != '0'
}
