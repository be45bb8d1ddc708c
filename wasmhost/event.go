package wasmhost

import "time"

// EventKind is what happened to a policy.
type EventKind string

// Kinds of events.
const (
	EventFailed         EventKind = "failed"          // a call of the guest failed; the detail says how
	EventRecreated      EventKind = "recreated"       // an instance was made in place of one that failed
	EventQuarantined    EventKind = "quarantined"     // the fallback decides for as long as the detail says
	EventTrial          EventKind = "trial"           // a hundredth of the picks go to the guest again
	EventHealed         EventKind = "healed"          // all picks go to the guest again
	EventRestored       EventKind = "restored"        // a new version took over the state of the old
	EventRestoreRefused EventKind = "restore-refused" // a new version begins without the state of the old
)

// Event tells what happened to the policy of one cluster.
type Event struct {
	Time    time.Time
	Policy  string
	Cluster string
	Kind    EventKind
	Detail  string
}

// tell hands an event to whoever listens. Shadows and rehearsals of a policy are not its events.
func (p *Policy) tell(kind EventKind, detail string) {
	if f := p.module.host.events; f != nil && !p.inert {
		f(Event{Time: time.Unix(0, p.module.options.Now()), Policy: p.module.options.Name, Cluster: p.cluster, Kind: kind, Detail: detail})
	}
}
