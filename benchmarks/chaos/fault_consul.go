package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// consulFaults are of the catalogue. nginx and Caddy have their lists from files here, and are not asked about it.
var consulFaults = []Fault{
	{
		Name: "deregistration", About: "an endpoint leaves the catalogue and ends, at the same moment", Lasts: 2 * time.Second, needs: consul,
		strike: func(s *scene, _ []int) error {
			return errors.Join(s.catalogue.deregister(s.ctx, s.endpoints[1]), s.endpoints[1].signal(syscall.SIGTERM))
		},
		heal: func(s *scene) error {
			return errors.Join(s.endpoints[1].start(), s.catalogue.register(s.ctx, s.endpoints[1]))
		},
	},
	{
		Name: "Consul leader", About: "the leader of three Consul servers is killed", Lasts: 4 * time.Second, needs: consul,
		strike: func(s *scene, _ []int) error {
			leader, err := s.catalogue.leader()
			if err != nil {
				return err
			}
			return leader.kill()
		},
		heal: restoreConsul,
	},
	{
		Name: "Consul agent", About: "the gateway's agent is killed", Lasts: 3 * time.Second, needs: consul,
		strike: func(s *scene, _ []int) error { return s.catalogue.near.kill() },
		heal:   restoreConsul,
	},
	{
		Name: "agent and endpoint", About: "the gateway's agent is killed, and half a second later an endpoint", Lasts: 3 * time.Second, needs: consul,
		strike: func(s *scene, _ []int) error {
			if err := s.catalogue.near.kill(); err != nil {
				return err
			}
			time.Sleep(500 * time.Millisecond)
			return s.endpoints[1].signal(syscall.SIGKILL)
		},
		heal: func(s *scene) error { return errors.Join(s.endpoints[1].restore(), restoreConsul(s)) },
	},
	{
		Name: "cut off from Consul", About: "whatever the agent sends to the gateway vanishes", Lasts: 3 * time.Second, needs: consul,
		strike: func(s *scene, _ []int) error { return s.catalogue.near.place.cut(gatewayIP) },
		heal:   func(s *scene) error { return s.catalogue.near.place.mend() },
	},
	{
		Name: "disk full", About: "the disk of the last known good is full while the list changes", Lasts: 6 * time.Second, needs: consul, only: "weir",
		strike: func(s *scene, _ []int) error {
			return errors.Join(fill(s.gateway.settings.Snapshot), s.catalogue.deregister(s.ctx, s.endpoints[1]))
		},
		heal: func(s *scene) error {
			err := errors.Join(os.Remove(fillerOf(s.gateway.settings.Snapshot)), s.catalogue.register(s.ctx, s.endpoints[1]))
			if !strings.Contains(s.gateway.Log(), "no space left") {
				err = errors.Join(err, fmt.Errorf("the gateway has not met the full disk: %s", s.gateway.Log()))
			}
			return err
		},
	},
}

// restoreConsul starts again what was killed.
func restoreConsul(s *scene) error {
	for _, m := range s.catalogue.all() {
		if m.cmd != nil {
			continue
		}
		if err := s.catalogue.start(m); err != nil {
			return err
		}
	}
	return s.catalogue.await(s.ctx, s.catalogue.whole)
}

func fillerOf(snapshot string) string { return filepath.Join(filepath.Dir(snapshot), "filler") }

// fill fills the disk that a file is on; a small one is mounted there.
func fill(file string) error {
	f, err := os.Create(fillerOf(file))
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
