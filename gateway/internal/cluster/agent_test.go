package cluster

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestAgentLines(t *testing.T) {
	for _, c := range []struct {
		lines string // one after the other, by |
		state AgentState
		share float64
	}{
		{"", AgentNone, 1},
		{"up", AgentUp, 1},
		{"75%", AgentNone, 0.75},
		{"up 75%\r", AgentUp, 0.75},
		{"0%", AgentNone, 0},
		{"200%", AgentNone, 2},
		{"99999%", AgentNone, 2.56},
		{"down,50%", AgentDown, 0.5},
		{"DRAIN", AgentDrain, 1},
		{"maint", AgentMaint, 1},
		{"stopped # by hand", AgentDown, 1},
		{"failed", AgentDown, 1},
		{"maint|up", AgentMaint, 1},
		{"maint|ready up", AgentUp, 1},
		{"drain|ready", AgentNone, 1},
		{"down|up", AgentUp, 1},
		{"50%|up", AgentUp, 0.5},
		{"-5% 1e3% %  maxconn:30 nonsense", AgentNone, 1},
		{"up # down", AgentUp, 1},
		{"99999999999999999999%", AgentNone, 1},
	} {
		var a agentState
		for line := range strings.SplitSeq(c.lines, "|") {
			a.hear(line)
		}
		if a.state() != c.state || a.share() != c.share {
			t.Errorf("%q: %v and %v, want %v and %v", c.lines, a.state(), a.share(), c.state, c.share)
		}
	}
}

// agentOf runs an agent that says what it is told to.
func agentOf(t *testing.T) (port int, says *atomic.Value) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	says = new(atomic.Value)
	says.Store("up\n")
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(says.Load().(string)))
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = ln.Close(); done.Wait() })
	return ln.Addr().(*net.TCPAddr).Port, says
}

func TestAgents(t *testing.T) {
	port, says := agentOf(t)
	s := settings()
	s.Agent = &Agent{Port: port, Interval: 5 * time.Millisecond}
	c := start(t, s, nil)
	in := instance("a")
	in.Weight = 4
	c.Apply(live(in))
	first := func() EndpointStatus { return c.Status().Endpoints[0] }
	wait := func(what string, ok func(EndpointStatus) bool) {
		t.Helper()
		gatewaytest.Eventually(t, what, func() bool { return ok(first()) })
	}
	wait("it is up", func(e EndpointStatus) bool { return e.Evidence.Agent == "up" && e.State == "up" })
	says.Store("50%\n")
	wait("half its weight", func(e EndpointStatus) bool { return e.Effective == 2 && e.Weight == 4 })
	if w := c.Load().Table.Endpoints[0].Weight; w != 2 {
		t.Errorf("weight %d in the table, want 2", w)
	}
	says.Store("drain\n")
	wait("it drains", func(e EndpointStatus) bool { return e.State == "draining" })
	if why := c.Absent(c.Load()); why[0] != "draining: agent" {
		t.Errorf("absent since %q", why[0])
	}
	says.Store(strings.Repeat("x", 1<<20)) // no end in sight
	says.Store("ready down 100%\n")
	wait("it is down", func(e EndpointStatus) bool { return e.State == "down" && e.Evidence.Agent == "down" })
	s.Agent = nil
	if err := c.Configure(s); err != nil {
		t.Fatal(err)
	}
	wait("without an agent it is up", func(e EndpointStatus) bool { return e.State == "up" && e.Evidence.Agent == "" && e.Effective == 4 })
}
