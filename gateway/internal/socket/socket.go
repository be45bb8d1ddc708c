// Package socket reads and writes TCP connections without telling the Go scheduler of every system call. Their sockets never
// block, so there is nothing for it to do; but to hear of a call costs it more than a small one takes, and after each pause
// it wakes the runtime's monitor for it. Where that is not known to work, connections are read and written as usual.
package socket

// State is what a look at a connection found.
type State uint8

// States.
const (
	Quiet    State = iota // nothing to read
	Readable              // bytes
	Gone                  // its end, or an error
)
