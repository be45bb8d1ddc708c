//go:build !linux

package socket

import "errors"

// Pipe would pass bytes from one connection to another within the kernel.
type Pipe struct{}

// OpenPipe fails.
func OpenPipe() (*Pipe, error) { return nil, errors.ErrUnsupported }

// Free does nothing.
func (*Pipe) Free() {}

// Fill fails.
func (*Pipe) Fill(*Conn, int) (int, error) { return 0, errors.ErrUnsupported }

// Drain fails.
func (*Pipe) Drain(*Conn) error { return errors.ErrUnsupported }
