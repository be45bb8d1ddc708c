package discovery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string, o SnapshotOptions) *Snapshot {
	t.Helper()
	s, err := OpenSnapshot(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t *testing.T, s *Snapshot) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

var full = State{
	At: time.Now().Add(-time.Minute).Round(0), Origin: OriginLive,
	Instances: []Instance{
		{
			ID: "n/a", Address: "[::1]:80", Name: "a", Weight: 3, Status: Warning, Tier: 2, Zone: "z", Datacenter: "d",
			Tags: []string{"t"}, Meta: map[string]string{"k": "<v>"}, Canary: true, Spare: true,
		},
		{ID: "n/b", Address: "b:80", Name: "b"},
	},
}

func TestSnapshotReturnsWhatWasPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "snapshot.json")
	s := open(t, path, SnapshotOptions{})
	s.Put("k", full)
	shut(t, s)
	shut(t, s) // closing twice does no harm

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v, want mode 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files in the folder, want the snapshot alone", len(left))
	}
	again := open(t, path, SnapshotOptions{})
	defer shut(t, again)
	got, ok := again.Get("k")
	if !ok || got.Origin != OriginSnapshot || !got.At.Equal(full.At) || !reflect.DeepEqual(got.Instances, full.Instances) {
		t.Errorf("got %+v, %v, want %+v from the snapshot", got, ok, full)
	}
	if _, ok := again.Get("other"); ok {
		t.Error("a key that was never put has a state")
	}
}

func TestSnapshotIsRefusedWithAReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, path, SnapshotOptions{})
	s.Put("k", full)
	shut(t, s)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"one bit changed", strings.Replace(string(good), `"b:80"`, `"b:81"`, 1), "checksum"},
		{"cut short", string(good[:len(good)/2]), "not a snapshot"},
		{"empty", "", "not a snapshot"},
		{"of another version", strings.Replace(string(good), `"version":1`, `"version":2`, 1), "version 2, want 1"},
		{"of no version", "{}", "version 0, want 1"},
		{"of another shape", fmt.Sprintf(`{"version":1,"sha256":%q,"services":[]}`, digest([]byte("[]"))), "services"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := OpenSnapshot(path, SnapshotOptions{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, c.want)
			}
			if _, ok := s.Get("k"); ok {
				t.Error("a refused file is used")
			}
			shut(t, s)
			if text, err := os.ReadFile(path); err != nil || string(text) != c.text {
				t.Errorf("the file was changed with nothing to put in its place (%v)", err)
			}
			s, _ = OpenSnapshot(path, SnapshotOptions{})
			s.Put("k", full)
			shut(t, s)
			shut(t, open(t, path, SnapshotOptions{}))
		})
	}
}

func TestSnapshotThatIsTooOldIsNotUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, path, SnapshotOptions{MaxAge: 48 * time.Hour})
	old := full
	old.At = time.Now().Add(-25 * time.Hour)
	s.Put("old", old)
	shut(t, s)

	s, err := OpenSnapshot(path, SnapshotOptions{})
	if err == nil || !strings.Contains(err.Error(), "25h0m0s old, want at most 24h0m0s") {
		t.Errorf("error %v, want one about its age", err)
	}
	shut(t, s)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%v, want the file left alone until there is something better", err)
	}
}

func TestSnapshotForgetsTheOldAndKeepsTheNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, path, SnapshotOptions{MaxAge: 48 * time.Hour})
	old := full
	old.At = time.Now().Add(-25 * time.Hour)
	s.Put("old", old)
	s.Put("new", full)
	shut(t, s)
	again := open(t, path, SnapshotOptions{})
	if _, ok := again.Get("old"); ok {
		t.Error("the old state is used")
	}
	if _, ok := again.Get("new"); !ok {
		t.Error("the new state is lost")
	}
	again.Put("new", full)
	shut(t, again)
	if text, _ := os.ReadFile(path); strings.Contains(string(text), `"old"`) {
		t.Error("the old state is still in the file")
	}
}

// TestSnapshotSparesTheDisk runs in virtual time.
func TestSnapshotSparesTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path, SnapshotOptions{})
		defer shut(t, s)
		written := map[string]bool{}
		const seconds = 60
		for i := range 10 * seconds {
			st := full
			st.At = time.Now()
			st.Instances = []Instance{{ID: "n/a", Weight: i}}
			s.Put("k", st)
			time.Sleep(time.Second / 10) // virtual
			synctest.Wait()
			if text, err := os.ReadFile(path); err == nil {
				var f snapshotFile
				if err := json.Unmarshal(text, &f); err != nil {
					t.Fatal(err)
				}
				written[f.Written.String()] = true
			}
		}
		if n := len(written); n < seconds/5-1 || n > seconds/5+1 {
			t.Errorf("written %d times in %d s of changes, want once in 5 s", n, seconds)
		}
	})
}

func TestSnapshotSaysThatItCannotWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	s := open(t, filepath.Join(dir, "s"), SnapshotOptions{})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.Put("k", full) // from now on it is written at any time
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that names %s", err, dir)
	}
}

func TestSnapshotHammer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, path, SnapshotOptions{Every: time.Microsecond})
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 200 {
				st := full
				st.Instances = []Instance{{ID: fmt.Sprint(p), Weight: i}}
				s.Put(fmt.Sprint(p), st)
				if got, ok := s.Get(fmt.Sprint(p)); !ok || got.Instances[0].Weight != i {
					t.Errorf("got %+v, %v, want weight %d", got, ok, i)
				}
			}
		})
	}
	wg.Wait()
	shut(t, s)
	again := open(t, path, SnapshotOptions{})
	defer shut(t, again)
	for p := range 4 {
		if got, _ := again.Get(fmt.Sprint(p)); len(got.Instances) != 1 || got.Instances[0].Weight != 199 {
			t.Errorf("service %d: got %+v, want the last weight, 199", p, got)
		}
	}
}

func FuzzSnapshot(f *testing.F) {
	body := `{"k":{"at":"2026-01-01T00:00:00Z","instances":[{"id":"a"}]}}`
	f.Add(fmt.Appendf(nil, `{"version":1,"sha256":%q,"services":%s}`, digest([]byte(body)), body))
	f.Add([]byte(`{"version":1,"services":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		services, err := parseSnapshot(text)
		if err != nil && services != nil {
			t.Errorf("both services and error %v", err)
		}
	})
}
