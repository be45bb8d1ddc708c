//go:build linux

package cost

import (
	"fmt"
	"sync/atomic"
	"time"
)

// tally is what clients count while they run.
type tally struct {
	done, bytes, failed atomic.Int64 // responses, bytes of them, and what went wrong
	timing              atomic.Bool  // latencies are kept

	ended     chan struct{}
	latencies []time.Duration // for whoever has seen ended closed
}

// traffic is clients of either sort.
type traffic interface {
	counts() *tally
	start()
	close() error // ends the traffic, and says what stopped it before
}

func (t *tally) counts() *tally { return t }

// maxFailed is how much may go wrong before a load is given up.
const maxFailed = 1000

// fail counts a failure, and returns an error if it is one too many.
func (t *tally) fail(why error) error {
	if t.failed.Add(1) > maxFailed {
		return fmt.Errorf("clients: over %d failures, the last: %w", maxFailed, why)
	}
	return nil
}

// check fails for a response other than the one that was asked for.
func (t *tally) check(status, size, want int) error {
	if status == 200 && size == want {
		return nil
	}
	return t.fail(fmt.Errorf("got status %d and %d bytes, want 200 and %d", status, size, want))
}
