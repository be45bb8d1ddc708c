package proxy

import "github.com/weir-lb/weir/policies"

// check tells why a request that was read is refused: because of its version, its method, what its fields say, or whom it is
// for, in that order. It returns noProblem if all is well.
func (x *exchange) check() problemID {
	x.http10 = string(x.proto) == "HTTP/1.0"
	if !x.http10 && string(x.proto) != http11 {
		return badVersion
	}
	if id := x.checkMethod(x.verb); id != noProblem {
		return id
	}
	if x.head.unread != noProblem {
		return x.head.unread
	}
	if x.http10 && x.head.length < 0 {
		return unknownCoding // no coding was known then
	}
	if x.head.fault != noProblem {
		return x.head.fault
	}
	x.expects = x.head.expects && !x.http10 && !x.body.ended
	return x.checkTarget(x.uri)
}

func (x *exchange) checkMethod(m []byte) problemID {
	x.method = methodOf(m)
	switch x.method {
	case policies.MethodConnect, policies.MethodTrace:
		return methodNotAllowed
	case policies.MethodOther:
		for _, b := range m {
			if 'a' <= b && b <= 'z' { // methods are case-sensitive (RFC 9110, section 9.1), and some parsers are not
				return unknownMethod
			}
		}
	}
	return noProblem
}

func methodOf(m []byte) policies.Method {
	switch string(m) {
	case "GET":
		return policies.MethodGet
	case "HEAD":
		return policies.MethodHead
	case "POST":
		return policies.MethodPost
	case "PUT":
		return policies.MethodPut
	case "DELETE":
		return policies.MethodDelete
	case "CONNECT":
		return policies.MethodConnect
	case "OPTIONS":
		return policies.MethodOptions
	case "TRACE":
		return policies.MethodTrace
	case "PATCH":
		return policies.MethodPatch
	}
	return policies.MethodOther
}

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}
