package chaos

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// need is what a fault cannot do without.
type need uint8

const (
	nothing need = iota
	wires        // namespaces, in which packets can be made to vanish
	consul       // the endpoints are in a catalogue
	clocks       // a process whose clock can be set
)

// Fault is something that goes wrong, and how it ends.
type Fault struct {
	Name  string
	About string
	Lasts time.Duration // from the beginning of strike to heal, if strike does not take longer

	needs  need
	hits   []int // endpoints that a gateway should find out about
	strike func(s *scene, hits []int) error
	heal   func(*scene) error // nil: the endpoints that it hits are brought back
	only   string             // gateway that alone can be hit by it; "": all
}

// scene is where a fault strikes.
type scene struct {
	ctx       context.Context
	endpoints []*process
	gateway   *gateway
	catalogue *catalogue // nil without Consul
	clock     *clock     // of the gateway, while it is wrong
	next      int        // ID of the next request
	retried   int        // what the gateway has counted so far
}

// flapEvery is how long an endpoint that flaps is down, and then up.
const flapEvery = 250 * time.Millisecond

// Faults are what `make chaos` does, in this order.
var Faults = append([]Fault{
	{Name: "SIGKILL", About: "an endpoint is killed", Lasts: 2 * time.Second, hits: []int{1}, strike: send(syscall.SIGKILL)},
	{Name: "SIGSTOP", About: "an endpoint hangs: its kernel accepts, it never answers", Lasts: 2 * time.Second, hits: []int{1}, strike: send(syscall.SIGSTOP)},
	{Name: "refused", About: "an endpoint closes its socket and its connections, and lives on", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(refuses)},
	{Name: "blackhole", About: "whatever an endpoint sends to the gateway vanishes", Lasts: 2 * time.Second, needs: wires, hits: []int{1}, strike: cut},
	{Name: "reset before head", About: "an endpoint resets connections instead of answering", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(resetsFirst)},
	{Name: "reset in head", About: "it resets them after a part of the head", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(resetsHead)},
	{Name: "reset in body", About: "it resets them after a part of the body, which nobody can take back", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(resetsBody)},
	{Name: "slow", About: "it answers a second late, but health checks at once", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(slow)},
	{Name: "5xx burst", About: "it answers 503 for a second, but 200 to health checks", Lasts: time.Second, hits: []int{1}, strike: turn(fails)},
	{Name: "garbage", About: "it answers what is not HTTP", Lasts: 2 * time.Second, hits: []int{1}, strike: turn(babbles)},
	{Name: "flapping", About: "it is refused for a quarter of a second, and back for one, six times", hits: []int{1}, strike: flap(6)},
	{Name: "rolling restart", About: "SIGTERM to one endpoint after the other, each started again once it has ended", strike: roll},
	{Name: "zone cut off", About: "whatever the two endpoints of a zone send to the gateway vanishes", Lasts: 2 * time.Second, needs: wires, hits: []int{2, 3}, strike: cut},
	{Name: "clock forward", About: "the gateway's wall clock jumps an hour ahead, and back", Lasts: 2 * time.Second, needs: clocks, strike: setClock(time.Hour), heal: mendClock},
	{Name: "clock back", About: "the gateway's wall clock jumps an hour back, and ahead", Lasts: 2 * time.Second, needs: clocks, strike: setClock(-time.Hour), heal: mendClock},
}, consulFaults...)

func send(sig syscall.Signal) func(*scene, []int) error {
	return func(s *scene, hits []int) error { return s.each(hits, func(e *process) error { return e.signal(sig) }) }
}

func turn(mode string) func(*scene, []int) error {
	return func(s *scene, hits []int) error {
		return s.each(hits, func(e *process) error { return e.become(mode) })
	}
}

func cut(s *scene, hits []int) error {
	return s.each(hits, func(e *process) error { return e.place.cut(gatewayIP) })
}

// each does something to some of the endpoints, one after the other.
func (s *scene) each(which []int, do func(*process) error) error {
	var err error
	for _, i := range which {
		err = errors.Join(err, do(s.endpoints[i]))
	}
	return err
}

func flap(times int) func(*scene, []int) error {
	return func(s *scene, hits []int) error {
		for range times {
			if err := turn(refuses)(s, hits); err != nil {
				return err
			}
			time.Sleep(flapEvery)
			if err := turn(well)(s, hits); err != nil {
				return err
			}
			time.Sleep(flapEvery)
		}
		return nil
	}
}

// roll restarts the whole fleet, as a deployment does that looks at nothing: a second between two.
func roll(s *scene, _ []int) error {
	for _, e := range s.endpoints {
		if err := e.signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := e.start(); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return nil
}

// setClock sets the gateway's clock ahead.
func setClock(by time.Duration) func(*scene, []int) error {
	return func(s *scene, _ []int) (err error) {
		if s.clock, err = clockOf(s.gateway.Pid()); err != nil {
			return err
		}
		return s.clock.jump(by)
	}
}

func mendClock(s *scene) error { return s.clock.mend() }

// mend ends a fault.
func (f *Fault) mend(s *scene) error {
	if f.heal != nil {
		return f.heal(s)
	}
	return s.each(f.hits, (*process).restore)
}
