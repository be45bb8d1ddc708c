package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Version is the release of Consul that tests run. It is under the Mozilla Public License; later ones are not.
const Version = "1.15.4"

// ErrNotFound says that no agent of the right version is here yet.
var ErrNotFound = errors.New("consul " + Version + " not found: set WEIR_CONSUL, put it on PATH, or run `make tools`")

// Ensure finds the agent, or builds it. Progress goes to log, if that is not nil.
func Ensure(ctx context.Context, log io.Writer) (path string, err error) {
	if path, err = Find(ctx); errors.Is(err, ErrNotFound) {
		return Build(ctx, log)
	}
	return path, err
}

// Find returns the path of the agent: what WEIR_CONSUL names, or `consul` on PATH if it is of the right version, or what
// Build has left in the cache; else ErrNotFound.
func Find(ctx context.Context) (path string, err error) {
	if path = os.Getenv("WEIR_CONSUL"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("WEIR_CONSUL: %w", err)
		}
		return path, nil
	}
	if path, err = exec.LookPath("consul"); err == nil {
		out, err := exec.CommandContext(ctx, path, "version").Output()
		first, _, _ := bytes.Cut(out, []byte("\n"))
		if err == nil && string(bytes.TrimSpace(first)) == "Consul v"+Version {
			return path, nil
		}
	}
	if path, err = cached(); err != nil {
		return "", err
	}
	if _, err = os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", ErrNotFound
	}
	return path, err
}

// cached returns where Build leaves the agent.
func cached() (string, error) {
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "weir", "tools", "consul-"+Version), nil
}

// Build builds the agent into the cache with the go command, which takes about four minutes on two cores, and returns its
// path. Several processes may call it at the same time: one builds, the others wait. It works in a clone of the
// repository alone, which holds the agent's module.
func Build(ctx context.Context, log io.Writer) (path string, err error) {
	if path, err = cached(); err != nil {
		return "", err
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return "", fmt.Errorf("lock of %s: %w", path, err)
	}
	defer unlock()
	if _, err = os.Stat(path); err == nil {
		return path, nil // somebody else built it
	}
	dir, err := module(ctx)
	if err != nil {
		return "", err
	}
	if log != nil {
		fmt.Fprintf(log, "building Consul %s into %s, once; this takes some minutes\n", Version, path)
	}
	tmp := path + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", tmp, "github.com/hashicorp/consul")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Consul %s in %s: %w\n%s", Version, dir, err, out)
	}
	return path, os.Rename(tmp, path)
}

// module returns the folder of the agent's module.
func module(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go command: %w", err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "tools", "consul")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("%w (building needs a clone of the repository: %w)", ErrNotFound, err)
	}
	return dir, nil
}

// lock takes the lock that the file at path is, waiting for whoever holds it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = tryLock(f); err == nil {
			return func() { _ = f.Close() }, nil // which lets go of the lock
		}
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
