package config

import (
	"net"
	"os"

	"github.com/weir-lb/weir/internal/form"
)

// Error is one mistake in a configuration.
type Error = form.Error

// Errors are all mistakes of a configuration, by their place. It prints one a line.
type Errors = form.Errors

// Child returns the path of what is called name in the mapping at path.
func Child(path, name string) string { return form.Child(path, name) }

// Error returns a mistake found outside of this package, such as a port in use, at the place of path. Paths look like
// listeners[0].address and clusters.web.policy; a name that holds other characters than letters, digits, "-" and "_"
// is written clusters["a.b"].
func (c *Config) Error(path, got, want string) *Error { return c.places.Error(path, got, want) }

// ListenerError returns the mistake that a listener cannot be opened. A name that is not configured is the admin API's.
func (c *Config) ListenerError(name string, err error) *Error {
	path, address := "admin.address", c.Admin.Address
	for i, l := range c.Listeners {
		if l.Name == name {
			path, address = form.Item("listeners", i)+".address", l.Address
		}
	}
	if op, ok := err.(*net.OpError); ok {
		err = op.Err // the rest of it repeats the address
	}
	if call, ok := err.(*os.SyscallError); ok {
		err = call.Err
	}
	return c.Error(path, form.Quote(address)+" ("+err.Error()+")", "an address that can be listened on")
}
