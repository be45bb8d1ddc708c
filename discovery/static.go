package discovery

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Static is a source whose instances never change.
type Static struct{ instances []Instance }

// NewStatic returns a source of the given instances, whose IDs are unique.
func NewStatic(instances []Instance) *Static {
	return &Static{instances: sorted(slices.Clone(instances))}
}

// Run publishes the instances once and waits for ctx to end.
func (s *Static) Run(ctx context.Context, publish func(State)) {
	publish(State{Instances: s.instances, At: time.Now(), Origin: OriginStatic})
	<-ctx.Done()
}

func sorted(instances []Instance) []Instance {
	slices.SortFunc(instances, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
	return instances
}
