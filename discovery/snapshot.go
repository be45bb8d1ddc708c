package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"
)

// Snapshot keeps the last known good state of every service in one file, for a start without a catalogue. The file is
// JSON with a checksum (SHA-256), readable by its owner alone, and replaced as a whole. Its methods may be called
// concurrently.
type Snapshot struct {
	path string
	opts SnapshotOptions

	mu       sync.Mutex
	services map[string]saved
	news     bool  // something was put that is not written
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
	s.news = true
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
	if !s.news {
		s.mu.Unlock()
		return // a file that was refused is left to be looked at until there is something better
	}
	s.news = false
	maps.DeleteFunc(s.services, func(_ string, e saved) bool { return time.Since(e.At) > s.opts.MaxAge })
	services := maps.Clone(s.services)
	s.mu.Unlock()
	err := s.store(services)
	if err != nil {
		err = fmt.Errorf("snapshot %s: %w", s.path, err)
		s.opts.Log.Error("the last known good endpoints are not saved", "err", err)
	}
	s.mu.Lock()
	s.err, s.news = err, s.news || err != nil
	s.mu.Unlock()
}
