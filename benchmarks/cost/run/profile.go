//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// saveProfile begins to take a CPU profile of that length from a gateway's admin address. What it returns waits for its end.
func saveProfile(ctx context.Context, admin, file string, length time.Duration) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- fetchProfile(ctx, admin, file, length) }()
	return func() error { return <-done }
}

func fetchProfile(ctx context.Context, admin, file string, length time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, int(length.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: got %s", url, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
