package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/weir-lb/weir/gateway/internal/config"
)

// wantedListeners returns the addresses to listen at, by name.
func wantedListeners(cfg *config.Config) map[string]string {
	want := map[string]string{adminListener: cfg.Admin.Address}
	for _, l := range cfg.Listeners {
		want[l.Name] = l.Address
	}
	return want
}

// openListeners opens what cfg wants and is not open yet. A listener whose name and address did not change stays. One
// whose address is open under another name, or which begins or ceases to speak TLS, takes the socket over, with what waits in its queue.
func (g *Gateway) openListeners(cfg *config.Config, ch *change) (errs []*config.Error) {
	have := map[string]string{}
	if g.config != nil {
		have = wantedListeners(g.config)
	}
	want := wantedListeners(cfg)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g.listeners[name] != nil && have[name] == want[name] && g.certs.Listener(name) == ch.certs.Listener(name) {
			continue
		}
		ln, err := g.takeOver(have, want[name])
		if ln == nil && err == nil {
			ln, err = net.Listen("tcp", want[name])
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			if holder := g.holder(have, want[name]); holder != "" {
				err = fmt.Errorf("%w by this gateway's %s; move that away in one reload and take its port in the next",
					syscall.EADDRINUSE, holder)
			}
		}
		if err != nil {
			errs = append(errs, cfg.ListenerError(strings.TrimSuffix(name, ":"), err))
			continue
		}
		ch.opened[name] = ln
	}
	return errs
}

// takeOver returns another listener on the socket that is open at that configured address, or nil if there is none.
func (g *Gateway) takeOver(have map[string]string, address string) (net.Listener, error) {
	if strings.HasSuffix(address, ":0") {
		return nil, nil // a port of its own is wanted each time
	}
	for name, at := range have {
		ln, ok := g.listeners[name].(*net.TCPListener)
		if !ok || at != address {
			continue
		}
		file, err := ln.File()
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return net.FileListener(file)
	}
	return nil, nil
}

// holder says which of the gateway's own listeners is in the way of an address, "" if none is.
func (g *Gateway) holder(have map[string]string, address string) string {
	_, port, _ := net.SplitHostPort(address)
	for name, at := range have {
		if _, p, _ := net.SplitHostPort(at); p == port && name == adminListener {
			return "admin address " + at
		} else if p == port {
			return fmt.Sprintf("listener %q at %s", name, at)
		}
	}
	return ""
}
