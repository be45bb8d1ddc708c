package chaos

import (
	"bufio"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/weir-lb/weir/internal/cli"
)

// TestMain lets the test binary be the endpoints and Weir too, so that both are processes that can be killed.
func TestMain(m *testing.M) {
	Main()
	if os.Getenv(roleVariable) == "clock" {
		tellTime()
	}
	if len(os.Args) > 1 && os.Args[1] == "run" {
		os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// tellTime prints the time, and how long ago the process began by the monotonic clock, for each line that it reads.
func tellTime() {
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(time.Now().UTC().Format(time.RFC3339Nano), time.Since(began))
	}
	os.Exit(0)
}

func options() Options {
	return Options{
		Gets: 200, Posts: 50, Programs: map[string]string{"weir": os.Args[0]}, Ground: &Ground{},
		Before: 250 * time.Millisecond, After: 500 * time.Millisecond, Longest: time.Second, Patient: true,
	}
}

// TestNothingThatDiesIsNoticed is the short part of `make chaos`: on loopback, at a tenth of the load.
func TestNothingThatDiesIsNoticed(t *testing.T) {
	t.Parallel()
	stage, err := NewStage(options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range Faults {
		f := &Faults[i]
		if stage.impossible(f, "weir") != "" {
			continue // it takes root, and is for `make chaos`
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			r, err := stage.Run(t.Context(), f, "weir")
			if err != nil {
				t.Fatal(err)
			}
			for _, promise := range r.Broken() {
				t.Error(promise)
			}
			if n := r.Post.Requests; r.Post.Failed > n/2 {
				t.Errorf("%d of %d POSTs failed: %v", r.Post.Failed, n, r.Post.Why)
			}
			if r.Get.Requests < 300 || r.Post.Requests < 75 {
				t.Errorf("%d GETs and %d POSTs, want a load", r.Get.Requests, r.Post.Requests)
			}
			// A POST that hangs can keep all others away from an endpoint that was stopped.
			if r.Retried+r.Post.Failed == 0 && len(f.hits) > 0 && !inevitable[f.Name] {
				t.Error("nothing was retried and nothing failed: the fault did no harm, so the test shows nothing")
			}
			if f.Name == "reset in body" && r.Get.Failed == 0 {
				t.Error("no GET failed, though some had half of their response")
			}
		})
	}
}

// TestTakeoversAreClean makes two trials in each layout.
func TestTakeoversAreClean(t *testing.T) {
	t.Parallel()
	var trials []Trial
	err := Trials(t.Context(), options(), 2, 2, 3, func(trial Trial) {
		trials = append(trials, trial)
		for _, promise := range trial.Broken() {
			t.Errorf("%s, %s", trial.Layout, promise)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range Layouts {
		if c := Cover(l, trials); c.Of != 2 {
			t.Errorf("%s: %d trials, want 2", l.Name, c.Of)
		}
	}
}
