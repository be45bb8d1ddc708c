package wasmhost

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir-lb/weir/wasmhost/fuel"
)

// brief makes one line of what wazero says of a trap, which has one more for each frame of the guest's stack. The
// innermost function is kept. Where that is the meter's, there was no fuel, and the one that called it is kept.
func brief(err error) error {
	text, stack, _ := strings.Cut(err.Error(), "\n")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	_, stack, _ = strings.Cut(stack, "\n") // "wasm stack trace:"
	where, stack, _ := strings.Cut(strings.TrimSpace(stack), "\n")
	spent := errors.Is(err, trapFuel)
	if strings.HasPrefix(where, "."+fuel.Refill+"(") {
		spent = true
		where, _, _ = strings.Cut(strings.TrimSpace(stack), "\n")
	}
	if where != "" {
		where = " in " + strings.TrimPrefix(where, ".")
	}
	if spent {
		return fmt.Errorf("%w%s", errFuel, where)
	}
	return errors.New(strings.TrimPrefix(text, "wasm error: ") + where)
}
