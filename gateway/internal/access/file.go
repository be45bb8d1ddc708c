package access

import (
	"os"
	"syscall"
)

// Open opens a file for lines to be added to it, and makes it if it is not there. A pipe that nobody reads is an error, not
// waited for.
func Open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}
