package gateway

import (
	"fmt"
	"os"

	"github.com/weir-lb/weir/gateway/internal/config"
	"github.com/weir-lb/weir/wasmhost"
)

// openHost makes what runs guests. A folder for native code that cannot be used costs compiling at each start, and no more.
func (g *Gateway) openHost(folder string) (err error) {
	o := wasmhost.HostOptions{Log: g.log, Events: g.heard, CacheDir: folder}
	if folder != "" {
		if err := private(folder); err != nil {
			g.log.Warn("native code is not kept: modules are compiled at each start", "folder", folder, "err", err)
			o.CacheDir = ""
		}
	}
	g.cacheDir = folder
	if g.host, err = wasmhost.NewHost(o); err != nil {
		return fmt.Errorf("wasm host: %w", err)
	}
	return nil
}

// private makes a folder that nobody else can write to: what is in it runs in this process.
func private(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others can write to it (mode %#o), want 0700", mode)
	}
	if uid, foreign := foreignOwner(info); foreign {
		return fmt.Errorf("it belongs to the user with the id %d, who can write to it, want a folder of our own", uid)
	}
	f, err := os.CreateTemp(folder, ".writable")
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// heard takes in what happened to a guest. It is called with locks of package wasmhost held.
func (g *Gateway) heard(e wasmhost.Event) {
	g.events.add(Event{Time: e.Time, Kind: string(e.Kind), Policy: e.Policy, Cluster: e.Cluster, Detail: e.Detail})
}

// cookieSecret returns what the cookies of a cluster are authenticated with. Without a file it is the process's own.
func (g *Gateway) cookieSecret(a *config.Affinity) ([]byte, error) {
	if a == nil || a.SecretFile == "" {
		return g.ownSecret[:], nil
	}
	secret, err := a.Secret()
	return []byte(secret), err
}
