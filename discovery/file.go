package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	snapshotVersion = 1
	maxSnapshot     = 64 << 20 // bytes
)

type snapshotFile struct {
	Version  int             `json:"version"`
	SHA256   string          `json:"sha256"` // of Services as it stands in the file
	Written  time.Time       `json:"written"`
	Services json.RawMessage `json:"services"`
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
