package socket_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/weir-lb/weir/gateway/internal/socket"
)

func TestWatchTellsOnceOfEachConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := socket.NewWatch(); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("got %v; want %v", err, errors.ErrUnsupported)
		}
		return
	}
	w, err := socket.NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	here, there := pair(t)
	other, _ := pair(t)
	n, err := w.Add(here)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(other); err != nil {
		t.Fatal(err)
	}
	told := make(chan []int)
	go func() {
		defer close(told)
		for {
			ready, err := w.Wait(nil)
			if err != nil {
				return
			}
			told <- ready
		}
	}()
	for range 2 {
		if _, err := there.Write([]byte("xy")); err != nil { // twice something to read, told of once
			t.Fatal(err)
		}
		if got := <-told; !slices.Equal(got, []int{n}) {
			t.Fatalf("got %v; want %d alone", got, n)
		}
		if _, err := here.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(here); err != nil {
			t.Fatal(err)
		}
	}
	_ = there.Close()
	if got := <-told; !slices.Equal(got, []int{n}) {
		t.Fatalf("the end: got %v; want %d", got, n)
	}
	_ = w.Close()
	<-told
	_ = here.Close()
	if _, err := w.Add(here); err == nil {
		t.Error("a closed connection was added")
	}
}
