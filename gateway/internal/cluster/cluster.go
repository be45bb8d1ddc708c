// Package cluster turns discovered instances into endpoints with live state, and publishes, through one atomic
// pointer, what a request needs of them: table, view, picker, failover and transports. It is the only home of
// ristretto, in which heartbeat leases expire.
package cluster

import (
	"github.com/weir-lb/weir/policies"
)

// Transport carries requests to one endpoint: a connection pool. Requests that began before Close may finish.
type Transport interface{ Close() }

// Snapshot is everything one request needs of a cluster. It is immutable but for the endpoints' state, and a request
// keeps the one it loaded throughout, retries included.
type Snapshot struct {
	Table     *policies.Table
	View      *policies.View
	Picker    policies.Picker
	Failover  policies.Failover
	Endpoints []*Endpoint // Endpoints[i] belongs to Table.Endpoints[i]
}
