package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// isMalformed reports what the engine of HTTP/2 lets through and two readers might take differently: a second word on the host
// or on the length, a length that is none, or a path that names a host itself (RFC 9113, sections 8.1.1 and 8.3.1).
func isMalformed(r *http.Request) bool {
	for _, h := range r.Header["Host"] {
		if !strings.EqualFold(h, r.Host) {
			return true
		}
	}
	if r.Method != http.MethodConnect && r.RequestURI[0] != '/' && r.RequestURI != "*" {
		return true
	}
	lengths := r.Header["Content-Length"]
	if len(lengths) == 0 {
		return false
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	return err != nil || int64(n) != r.ContentLength || len(lengths) > 1
}
