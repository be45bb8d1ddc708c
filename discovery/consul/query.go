package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// Query names the instances that a source watches.
type Query struct {
	Service      string
	Filter       string // an expression that the agent evaluates; "": all instances
	Datacenter   string // "": that of the options
	OnlyPassing  bool   // an instance that warns counts as critical
	RequireCheck bool   // an instance without a check of its own counts as critical, for it may not be complete yet
}

// key is equal for queries with equal answers. It names them in the snapshot.
func (c *Client) key(q Query) string {
	return fmt.Sprintf("consul %q %q %q %q %t%s", c.scope, q.Datacenter, q.Service, q.Filter, q.RequireCheck,
		map[bool]string{true: " passing"}[q.OnlyPassing])
}

// question is one request to the agent.
type question struct {
	index uint64        // 0: answer at once
	wait  time.Duration // how long to block if index is not 0
	sure  bool          // ask the leader
}

type answer struct {
	entries     []entry
	index       uint64
	leader      bool
	lastContact time.Duration
	filtered    bool // ACLs hid instances, or may have hidden all
}

// ask puts one question. A sure question must not have an index: agents answer a blocking query from the stream that
// they follow, even if it asks for consistency (seen with 1.15.4).
func (c *Client) ask(ctx context.Context, q Query, qn question) (answer, error) {
	patience := c.opts.Timeout
	if qn.index != 0 {
		patience += qn.wait + qn.wait/16 // agents add jitter of a sixteenth
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer in %v", patience))
	defer cancel()
	var a answer
	token := c.currentToken()
	meta, err := c.api.Raw().Query("/v1/health/service/"+q.Service, &a.entries, (&api.QueryOptions{
		Datacenter: q.Datacenter, Filter: q.Filter, Token: token,
		AllowStale: !qn.sure, RequireConsistent: qn.sure, WaitIndex: qn.index, WaitTime: qn.wait,
	}).WithContext(ctx))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return answer{}, classify(err)
	}
	a.index = max(1, meta.LastIndex)
	// The stream knows neither leader nor last contact, and says false and 0 (seen with 1.15.4).
	a.leader = meta.KnownLeader || meta.QueryBackend == api.QueryBackendStreaming
	a.lastContact = meta.LastContact
	// Agents do not tell those without a token that there was something to hide.
	a.filtered = meta.ResultsFilteredByACLs || len(a.entries) == 0 && token == "" && meta.DefaultACLPolicy == "deny"
	return a, nil
}

// reading says how to read answers to q. It must know which datacenter is the agent's own, if q asks for one by name.
func (c *Client) reading(ctx context.Context, q Query) (reading, error) {
	rd := reading{requireCheck: q.RequireCheck, onlyPassing: q.OnlyPassing}
	if q.Datacenter == "" {
		return rd, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var self struct{ Config struct{ Datacenter string } }
	_, err := c.api.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{Token: c.currentToken()}).WithContext(ctx))
	var status api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusForbidden {
		return rd, nil // without agent:read every datacenter is taken for our own
	}
	if err != nil {
		return rd, classify(err)
	}
	rd.datacenter = self.Config.Datacenter
	return rd, nil
}
