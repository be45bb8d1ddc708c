//go:build !linux

package chaos

import "errors"

// Enter says that there are no network namespaces here.
func Enter() error { return errors.New("network namespaces are of Linux") }
