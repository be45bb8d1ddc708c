package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a number of bytes, written like 64MiB.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if digits, found := strings.CutSuffix(string(text), u.name); found {
			if n, err := strconv.ParseUint(digits, 10, 32); err == nil && n > 0 {
				*s = size(int64(n) * u.bytes)
				return nil
			}
			break
		}
	}
	return fmt.Errorf("got %q, want a size such as 64KiB or 4MiB", text)
}
