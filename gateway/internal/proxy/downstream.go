package proxy

import (
	"io"

	"github.com/weir-lb/weir/gateway/internal/response"
	"github.com/weir-lb/weir/gateway/internal/upstream"
)

// downstream is the side of an exchange that its client is on.
type downstream interface {
	// interim passes an interim response on.
	interim(h *response.Head)
	// whole takes h and the whole of a body for the answer. They may be sent after the exchange has ended.
	whole(x *exchange, h *response.Head, body []byte)
	// stream sends h and the body that x.up brings, each piece as soon as it has come.
	stream(x *exchange, h *response.Head) error
	// tunnel answers with h, a 101, and gives the client's side of the tunnel, with what it has sent after its request.
	tunnel(x *exchange, h *response.Head) (client tunnelEnd, early []byte, err error)
	// watch lets up be interrupted if the client goes away, until unwatch, which says whether it was.
	watch(up *upstream.Conn)
	unwatch() (gone bool)
	// fetch fills p from the request's body, which r reads. Less than that is no error if the client pauses.
	fetch(r io.Reader, p []byte) (n int, err error)
	// interrupt makes reads of the request's body, those that wait and those to come, fail.
	interrupt()
	// abort makes sure that the client sees that there is no answer, or that it is not whole.
	abort()
}
