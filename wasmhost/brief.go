package wasmhost

import (
	"errors"
	"fmt"
	"strings"
)

// brief makes one line of what wazero says of a trap, which has one more for each frame of the guest's stack. The
// innermost function is kept. With spent fuel, the trap is the meter's and its text says nothing.
func brief(err error, spent bool) error {
	text, stack, _ := strings.Cut(err.Error(), "\n")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	_, stack, _ = strings.Cut(stack, "\n") // "wasm stack trace:"
	where, _, _ := strings.Cut(strings.TrimSpace(stack), "\n")
	if where != "" {
		where = " in " + strings.TrimPrefix(where, ".")
	}
	if spent {
		return fmt.Errorf("%w%s", errFuel, where)
	}
	return errors.New(strings.TrimPrefix(text, "wasm error: ") + where)
}
