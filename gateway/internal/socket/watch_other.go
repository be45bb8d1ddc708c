//go:build !linux

package socket

import "errors"

// Watch would tell of connections that no goroutine waits for.
type Watch struct{}

// NewWatch fails.
func NewWatch() (*Watch, error) { return nil, errors.ErrUnsupported }

// Add fails.
func (*Watch) Add(*Conn) (int, error) { return 0, errors.ErrUnsupported }

// Wait fails.
func (*Watch) Wait([]int) ([]int, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Watch) Close() error { return nil }
