package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"
)

const (
	snapshotVersion = 1
	maxSnapshot     = 64 << 20 // bytes
)

// Snapshot keeps the last known good state of every service in one file, for a start without a catalogue. The file is
// JSON with a checksum (SHA-256), readable by its owner alone, and replaced as a whole. Its methods may be called
// concurrently.
type Snapshot struct {
	path string
	opts SnapshotOptions

	mu       sync.Mutex
	services map[string]saved
	err      error // of the last write

	dirty chan struct{}
	done  chan struct{}
	wg    sync.WaitGroup
	once  sync.Once
}

// SnapshotOptions bounds a snapshot. Zero values mean the defaults.
type SnapshotOptions struct {
	MaxAge time.Duration // answers older than this are not used; 24 h
	Every  time.Duration // the file is written at most this often; 5 s
	Log    *slog.Logger  // told of failed writes; none if nil
}

type saved struct {
	At        time.Time  `json:"at"`
	Instances []Instance `json:"instances"`
}

type snapshotFile struct {
	Version  int             `json:"version"`
	SHA256   string          `json:"sha256"` // of Services as it stands in the file
	Written  time.Time       `json:"written"`
	Services json.RawMessage `json:"services"`
}

// OpenSnapshot loads the snapshot at path, if there is one, and keeps it up to date until Close. With an error that says
// why the file was not used it still returns a snapshot, empty, that will replace the file.
func OpenSnapshot(path string, opts SnapshotOptions) (*Snapshot, error) {
	if opts.MaxAge == 0 {
		opts.MaxAge = 24 * time.Hour
	}
	if opts.Every == 0 {
		opts.Every = 5 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Snapshot{
		path: path, opts: opts, services: map[string]saved{},
		dirty: make(chan struct{}, 1), done: make(chan struct{}),
	}
	err := s.load()
	if mkErr := os.MkdirAll(filepath.Dir(path), 0o700); mkErr != nil {
		err = errors.Join(err, fmt.Errorf("snapshot: %w", mkErr))
	}
	s.wg.Go(s.run)
	return s, err
}

// Get returns the last known good state of a service, with OriginSnapshot, and whether there is one.
func (s *Snapshot) Get(key string) (State, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.services[key]
	if !ok || time.Since(e.At) > s.opts.MaxAge {
		return State{}, false
	}
	return State{Instances: e.Instances, At: e.At, Origin: OriginSnapshot}, true
}

// Put notes a state as the last known good. The key holds all that identifies the question.
func (s *Snapshot) Put(key string, st State) {
	s.mu.Lock()
	old, ok := s.services[key]
	s.services[key] = saved{At: st.At, Instances: st.Instances}
	s.mu.Unlock()
	if ok && reflect.DeepEqual(old.Instances, st.Instances) {
		return // Close writes the newer time; the answers of a quiet service cost no disk
	}
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// Close writes what is not written yet and returns the error of the last write.
func (s *Snapshot) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.wg.Wait()
		s.write()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Snapshot) run() {
	refresh := time.NewTicker(s.opts.MaxAge / 24)
	defer refresh.Stop()
	for {
		select {
		case <-s.dirty:
		case <-refresh.C: // so that a process that is killed leaves times that are not too old
		case <-s.done:
			return
		}
		s.write()
		select {
		case <-time.After(s.opts.Every):
		case <-s.done:
			return
		}
	}
}

func (s *Snapshot) write() {
	s.mu.Lock()
	maps.DeleteFunc(s.services, func(_ string, e saved) bool { return time.Since(e.At) > s.opts.MaxAge })
	services := maps.Clone(s.services)
	s.mu.Unlock()
	err := s.store(services)
	if err != nil {
		err = fmt.Errorf("snapshot %s: %w", s.path, err)
		s.opts.Log.Error("the last known good endpoints are not saved", "err", err)
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *Snapshot) store(services map[string]saved) error {
	body, err := json.Marshal(services)
	if err != nil {
		return err
	}
	text, err := json.Marshal(snapshotFile{
		Version: snapshotVersion, SHA256: digest(body), Written: time.Now(), Services: body,
	})
	if err != nil {
		return err
	}
	return replace(s.path, append(text, '\n'))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// replace puts text in the place of the file at path, so that a crash at any moment leaves either the old or the new.
func replace(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Snapshot) load() error {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSnapshot+1))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	services, err := parseSnapshot(text)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.path, err)
	}
	var newest time.Time
	for key, e := range services {
		if e.At.After(newest) {
			newest = e.At
		}
		if time.Since(e.At) <= s.opts.MaxAge {
			s.services[key] = e
		}
	}
	if len(services) > 0 && len(s.services) == 0 {
		return fmt.Errorf("snapshot %s: its newest answer is %v old, want at most %v",
			s.path, time.Since(newest).Round(time.Second), s.opts.MaxAge)
	}
	return nil
}

func parseSnapshot(text []byte) (map[string]saved, error) {
	if len(text) > maxSnapshot {
		return nil, fmt.Errorf("more than %d bytes", maxSnapshot)
	}
	var f snapshotFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("not a snapshot: %w", err)
	}
	if f.Version != snapshotVersion {
		return nil, fmt.Errorf("version %d, want %d", f.Version, snapshotVersion)
	}
	if sum := digest(f.Services); sum != f.SHA256 {
		return nil, fmt.Errorf("checksum %s, want %q as the file says", sum, f.SHA256)
	}
	var services map[string]saved
	if err := json.Unmarshal(f.Services, &services); err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	return services, nil
}
