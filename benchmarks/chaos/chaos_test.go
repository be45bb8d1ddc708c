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

// lossless are the faults that no GET may be lost to.
var lossless = []string{"SIGKILL", "SIGSTOP", "refused", "blackhole", "reset before head", "reset in head", "slow", "5xx burst", "garbage", "flapping", "rolling restart", "zone cut off"}

func faultNamed(t *testing.T, name string) *Fault {
	t.Helper()
	for i := range Faults {
		if Faults[i].Name == name {
			return &Faults[i]
		}
	}
	t.Fatalf("no fault %q", name)
	return nil
}

// TestNothingThatDiesIsNoticed is the short part of `make chaos`: on loopback, at a tenth of the load.
func TestNothingThatDiesIsNoticed(t *testing.T) {
	o := Options{
		Gets: 200, Posts: 50, Programs: map[string]string{"weir": os.Args[0]}, Ground: &Ground{},
		Before: 250 * time.Millisecond, After: 500 * time.Millisecond, Longest: time.Second,
	}
	stage, err := NewStage(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range lossless {
		f := faultNamed(t, name)
		if f.needs != nothing {
			continue // what takes root is for `make chaos`
		}
		t.Run(name, func(t *testing.T) {
			r, err := stage.Run(t.Context(), f, "weir")
			if err != nil {
				t.Fatal(err)
			}
			if r.Get.Failed > 0 {
				t.Errorf("%d of %d GETs failed: %v", r.Get.Failed, r.Get.Requests, r.Get.Why)
			}
			if r.Post.Twice > 0 {
				t.Errorf("%d of %d POSTs were executed twice", r.Post.Twice, r.Post.Requests)
			}
			if n := r.Post.Requests; r.Post.Failed > n/2 {
				t.Errorf("%d of %d POSTs failed: %v", r.Post.Failed, n, r.Post.Why)
			}
			if r.Get.Requests < 300 || r.Post.Requests < 75 {
				t.Errorf("%d GETs and %d POSTs, want a load", r.Get.Requests, r.Post.Requests)
			}
			// A POST that hangs can keep all others away from an endpoint that was stopped.
			if r.Retried+r.Post.Failed == 0 && name != "rolling restart" {
				t.Error("nothing was retried and nothing failed: the fault did no harm, so the test shows nothing")
			}
		})
	}
}
