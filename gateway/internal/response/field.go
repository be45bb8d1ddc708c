package response

import "github.com/weir-lb/weir/gateway/internal/grammar"

// field names the fields that heads themselves care about.
type field uint8

const (
	other field = iota
	connection
	contentLength
	transferEncoding
	trailer
	date
	hop // about one connection
)

// classify tells which field a name is.
func classify(name []byte) field {
	switch len(name) {
	case len("date"):
		if grammar.EqualFold(name, "date") {
			return date
		}
	case len("trailer"):
		switch {
		case grammar.EqualFold(name, "trailer"):
			return trailer
		case grammar.EqualFold(name, "upgrade"):
			return hop
		}
	case len("connection"):
		switch {
		case grammar.EqualFold(name, "connection"):
			return connection
		case grammar.EqualFold(name, "keep-alive"):
			return hop
		}
	case len("content-length"):
		if grammar.EqualFold(name, "content-length") {
			return contentLength
		}
	case len("proxy-connection"):
		if grammar.EqualFold(name, "proxy-connection") {
			return hop
		}
	case len("transfer-encoding"):
		if grammar.EqualFold(name, "transfer-encoding") {
			return transferEncoding
		}
	case len("proxy-authenticate"):
		if grammar.EqualFold(name, "proxy-authenticate") {
			return hop
		}
	case len("proxy-authentication-info"):
		if grammar.EqualFold(name, "proxy-authentication-info") {
			return hop
		}
	}
	return other
}
