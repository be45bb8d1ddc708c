// Package discovery says which instances of a service exist. A [Source] watches one service and publishes whole
// [State]s; an error never empties the last good one. The package depends on the standard library alone; the Consul
// source lives in discovery/consul.
package discovery

import (
	"context"
	"time"
)

// Status is what the catalogue says of an instance.
type Status uint8

// Statuses, from best to worst.
const (
	Passing     Status = iota
	Warning            // gets traffic by its warning weight
	Critical           // gets none
	Maintenance        // gets no new requests; those in flight may finish
)

var statusNames = [...]string{"passing", "warning", "critical", "maintenance"}

// String returns "passing", "warning", "critical" or "maintenance".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "invalid"
}

// Instance is one instance of a service as a source reports it.
type Instance struct {
	ID         string            `json:"id"`      // unique in its service; with Consul node ID + "/" + service ID
	Address    string            `json:"address"` // host:port
	Name       string            `json:"name"`    // for people
	Weight     int               `json:"weight"`  // 0..65535, for its present Status
	Status     Status            `json:"status"`
	Tier       uint8             `json:"tier,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Datacenter string            `json:"datacenter,omitempty"`
	Failover   uint8             `json:"failover,omitempty"` // 0: where it was looked for first; k: from the k-th place to fail over to
	Tags       []string          `json:"tags,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Canary     bool              `json:"canary,omitempty"`
	Spare      bool              `json:"spare,omitempty"`
}

// State is what a source knows of one service. States and what they hold are immutable once published.
type State struct {
	Instances []Instance // sorted by ID, IDs unique
	At        time.Time  // when the source last confirmed this answer
	Origin    Origin
	Err       error // why the state is not fresh; nil if it is
}

// Origin is where a state comes from.
type Origin uint8

// Origins.
const (
	OriginNone     Origin = iota // nothing is known yet
	OriginStatic                 // the configuration
	OriginSnapshot               // the last known good of an earlier run, unverified
	OriginLive                   // the catalogue
)

// String returns "none", "static", "snapshot" or "live".
func (o Origin) String() string {
	return [...]string{"none", "static", "snapshot", "live"}[o&3]
}

// Source watches one service.
type Source interface {
	// Run publishes states until ctx ends, then returns. publish is called from one goroutine at a time and must not
	// be kept. A source publishes again when only At or Err changed, so that the age of an answer can be shown.
	Run(ctx context.Context, publish func(State))
}
