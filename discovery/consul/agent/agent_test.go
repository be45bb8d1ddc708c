package agent

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// status returns the status of the TTL check of the instance "a", "" if it is not registered.
func (a *Agent) status(ctx context.Context) (string, error) {
	var checks []struct{ Status string }
	err := a.call(ctx, http.MethodGet, "/v1/health/checks/web?consistent", nil, &checks)
	if err != nil || len(checks) == 0 {
		return "", err
	}
	return checks[0].Status, nil
}

func TestAgent(t *testing.T) {
	ctx := t.Context()
	a, err := Start(ctx, Options{})
	must(t, err)
	dir := a.dir
	defer func() {
		must(t, a.Stop())
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%v, want the agent's folder removed", err)
		}
	}()
	want := func(t *testing.T, want string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			got, err := a.status(ctx)
			if err == nil && got == want {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("status %q, %v, want %q", got, err, want)
			}
		}
	}
	must(t, a.Register(ctx, Service{ID: "a", Name: "web", Port: 80}))
	t.Run("says what the check was told", func(t *testing.T) {
		want(t, "passing")
		must(t, a.Warn(ctx, "a"))
		want(t, "warning")
		must(t, a.Fail(ctx, "a"))
		want(t, "critical")
		must(t, a.Pass(ctx, "a"))
		want(t, "passing")
	})
	t.Run("answers nothing while it is paused", func(t *testing.T) {
		must(t, a.Pause())
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if _, err := a.status(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want no answer in time", err)
		}
		must(t, a.Resume())
		want(t, "passing")
	})
	t.Run("is gone when it is killed", func(t *testing.T) {
		must(t, a.Kill())
		if _, err := a.status(ctx); err == nil {
			t.Error("a killed agent answers")
		}
		if err := a.Pause(); err == nil {
			t.Error("a killed agent can be paused")
		}
	})
	t.Run("is empty and at the same address when it is restarted", func(t *testing.T) {
		old := a.Addr()
		must(t, a.Restart(ctx))
		want(t, "")
		if a.Addr() != old {
			t.Errorf("address %s, want %s", a.Addr(), old)
		}
		must(t, a.Register(ctx, Service{ID: "a", Name: "web", Port: 80}))
		want(t, "passing")
		must(t, a.Deregister(ctx, "a"))
		want(t, "")
	})
	t.Run("says why it refuses a call", func(t *testing.T) {
		err := a.Fail(ctx, "nobody")
		if err == nil || !strings.Contains(err.Error(), "Unknown check ID") {
			t.Errorf("error %v, want that of the agent", err)
		}
	})
	t.Run("can be killed, and stopped while it is paused", func(t *testing.T) {
		must(t, a.Pause())
		must(t, a.Kill())
		must(t, a.Restart(ctx))
		must(t, a.Pause())
	})
}

func TestStartSaysWhyItFails(t *testing.T) {
	_, err := Start(t.Context(), Options{Config: []string{"no such key = 1"}})
	if err == nil || !strings.Contains(err.Error(), "no such key") && !strings.Contains(err.Error(), "its log ends") {
		t.Errorf("error %v, want one with the agent's log", err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	script := func(t *testing.T, path, says string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755))
	}
	t.Setenv("WEIR_CONSUL", "")
	t.Setenv("XDG_CACHE_HOME", dir+"/cache")
	t.Setenv("PATH", dir+"/path")
	cache := filepath.Join(dir, "cache", "weir", "tools", "consul-"+Version)
	find := func(t *testing.T, want string) {
		t.Helper()
		if got, err := Find(t.Context()); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	t.Run("finds nothing where there is nothing", func(t *testing.T) {
		if _, err := Find(t.Context()); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want %v", err, ErrNotFound)
		}
	})
	t.Run("finds what was built", func(t *testing.T) {
		script(t, cache, "")
		find(t, cache)
	})
	t.Run("prefers PATH if the version is right", func(t *testing.T) {
		script(t, dir+"/path/consul", "Consul v1.20.0")
		find(t, cache)
		script(t, dir+"/path/consul", "Consul v"+Version)
		find(t, dir+"/path/consul")
	})
	t.Run("prefers what the environment names", func(t *testing.T) {
		t.Setenv("WEIR_CONSUL", cache)
		find(t, cache)
		t.Setenv("WEIR_CONSUL", dir+"/gone")
		if _, err := Find(t.Context()); err == nil || !strings.Contains(err.Error(), "WEIR_CONSUL") {
			t.Errorf("error %v, want one that names WEIR_CONSUL", err)
		}
	})
}

func TestLockIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	var holders atomic.Int32
	for range 4 {
		wg.Go(func() {
			for range 3 {
				unlock, err := lock(context.Background(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				f, err := os.Open(path)
				if err == nil {
					err = tryLock(f)
					_ = f.Close()
				}
				if !errors.Is(err, errLocked) {
					t.Errorf("a second lock: %v, want %v", err, errLocked)
				}
				holders.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	unlock, err := lock(t.Context(), path)
	must(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestModuleIsWhereBuildLooks holds the folder that Build needs, which nothing else here would miss while a binary is cached.
func TestModuleIsWhereBuildLooks(t *testing.T) {
	dir, err := module(t.Context())
	must(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	must(t, err)
	if want := "github.com/hashicorp/consul v" + Version; !strings.Contains(string(text), want) {
		t.Errorf("%s/go.mod does not require %s", dir, want)
	}
}
