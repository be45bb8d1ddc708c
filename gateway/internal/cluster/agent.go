package cluster

import (
	"bufio"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Agent asks a small service beside each endpoint how it does, in HAProxy's agent-check protocol: a TCP connection, on
// which one line comes (HAProxy configuration manual, "agent-check").
type Agent struct {
	Port     int // on the endpoint's host
	Interval time.Duration
}

func (a *Agent) equal(b *Agent) bool { return a == b || a != nil && b != nil && *a == *b }

// AgentState is what an endpoint's agent says.
type AgentState uint8

// Agent states.
const (
	AgentNone AgentState = iota // it said nothing of health
	AgentUp
	AgentDrain
	AgentMaint
	AgentDown
)

// String returns "", "up", "drain", "maint" or "down".
func (s AgentState) String() string {
	return [...]string{"", "up", "drain", "maint", "down", "", "", ""}[s&7]
}

// agentState is what an agent has said so far. As with HAProxy the three are apart: each word changes one of them, and an
// agent that cannot be reached changes none, for probes are there to find that out.
type agentState struct {
	admin   AgentState // none, drain or maint
	running AgentState // none, up or down
	percent int        // of the endpoint's weight, if weighted
	weighed bool
	says    string // the last line
	check   *check // nil: none
}

func (a *agentState) state() AgentState {
	if a.admin != AgentNone {
		return a.admin
	}
	return a.running
}

// share is what the agent leaves of the endpoint's weight.
func (a *agentState) share() float64 {
	if !a.weighed {
		return 1
	}
	return float64(a.percent) / 100
}

const (
	maxAgentLine    = 256
	maxAgentPercent = 256 // HAProxy's greatest weight
)

// hear takes a line. Words that mean nothing to it, such as maxconn:N, it passes over; a # begins a comment.
func (a *agentState) hear(line string) {
	a.says = strings.ToValidUTF8(strings.TrimSpace(line), "?")
	words, _, _ := strings.Cut(line, "#")
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" \t,\r\n", r) }) {
		switch strings.ToLower(w) {
		case "up":
			a.running = AgentUp
		case "down", "failed", "fail", "stopped":
			a.running = AgentDown
		case "ready":
			a.admin = AgentNone
		case "drain":
			a.admin = AgentDrain
		case "maint":
			a.admin = AgentMaint
		default:
			digits, ok := strings.CutSuffix(w, "%")
			if n, err := strconv.ParseUint(digits, 10, 31); ok && err == nil {
				a.percent, a.weighed = int(min(n, maxAgentPercent)), true
			}
		}
	}
}

// startAgent has e's agent asked, if the cluster has agents. The caller holds c.mu, or no one else knows the cluster yet.
func (c *Cluster) startAgent(e *Endpoint) {
	if c.settings.Agent == nil || c.closed {
		return
	}
	a := *c.settings.Agent
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return // discovery gives no such addresses
	}
	address := net.JoinHostPort(host, strconv.Itoa(a.Port))
	e.agent.check = c.checks.start(a.Interval, func(ctx context.Context) time.Duration {
		if line, err := agentLine(ctx, address, a.Interval); err == nil {
			c.agentSaid(ctx, e, line)
		}
		return a.Interval
	})
}

// agentLine fetches one line, which the end of the connection ends too.
func agentLine(ctx context.Context, address string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(io.LimitReader(conn, maxAgentLine)).ReadString('\n')
	if err == io.EOF && line != "" {
		err = nil
	}
	return line, err
}

// agentSaid takes what an agent answered.
func (c *Cluster) agentSaid(ctx context.Context, e *Endpoint, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return // the endpoint is gone or the settings changed
	}
	was := e.agent.share()
	e.agent.hear(line)
	if e.agent.share() != was {
		c.weighAt = time.Now()
	}
	c.publishView("agent: " + e.agent.says)
}
