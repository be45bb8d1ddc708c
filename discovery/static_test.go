package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestStaticPublishesOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := []Instance{{ID: "b"}, {ID: "a"}}
		source := NewStatic(given)
		given[0].ID = "changed"
		ctx, cancel := context.WithCancel(t.Context())
		var states []State
		ended := false
		go func() {
			source.Run(ctx, func(s State) { states = append(states, s) })
			ended = true
		}()
		time.Sleep(time.Hour) // virtual
		synctest.Wait()
		if len(states) != 1 || ended {
			t.Fatalf("%d states, ended %v, want one and patience", len(states), ended)
		}
		if s := states[0]; ids(s.Instances) != "a b" || s.Origin != OriginStatic || s.Err != nil || s.At.IsZero() {
			t.Errorf("got %+v, want a and b, static", s)
		}
		cancel()
		synctest.Wait()
		if !ended {
			t.Error("Run outlives its context")
		}
	})
}
