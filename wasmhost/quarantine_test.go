package wasmhost

import (
	"testing"
	"time"
)

func TestQuarantineOfManyInstances(t *testing.T) {
	var q quarantine
	for range quarantineFailures {
		q.failed(0)
	}
	for range 20 { // calls that were under way on as many other instances
		if q.failed(1) {
			t.Fatal("entered again within the first back-off")
		}
	}
	if got := q.wait(0); got != firstBackoff {
		t.Errorf("away for %v, want %v", got, firstBackoff)
	}
	now := int64(firstBackoff)
	if !q.failed(now) {
		t.Error("a failure in the trial did not lead back")
	}
	if got := q.wait(now); got != 2*firstBackoff {
		t.Errorf("away for %v, want %v", got, 2*time.Second)
	}
}
