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

var names = grammar.NewNames(map[string]field{
	"connection": connection, "content-length": contentLength, "transfer-encoding": transferEncoding, "trailer": trailer, "date": date,
	"keep-alive": hop, "upgrade": hop, "proxy-connection": hop, "proxy-authenticate": hop, "proxy-authentication-info": hop,
})
