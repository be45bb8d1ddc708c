package chaos

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestAClockJumps sets the clock of a process forward, back and right again, and reads it there.
func TestAClockJumps(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=clock")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	read := func() (wall time.Time, monotonic time.Duration) {
		t.Helper()
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		at, since, _ := strings.Cut(strings.TrimSpace(line), " ")
		if wall, err = time.Parse(time.RFC3339Nano, at); err != nil {
			t.Fatal(err)
		}
		if monotonic, err = time.ParseDuration(since); err != nil {
			t.Fatal(err)
		}
		return wall, monotonic
	}
	_, began := read()
	c, err := clockOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour, 0} {
		err := c.jump(by)
		if by == 0 {
			err = c.mend()
		}
		if err != nil {
			t.Fatal(err)
		}
		wall, monotonic := read()
		if off := time.Until(wall) - by; off.Abs() > time.Minute {
			t.Errorf("after a jump by %s the clock is %s off", by, off)
		}
		if monotonic < began || monotonic > began+time.Minute {
			t.Errorf("after a jump by %s the monotonic clock says %s, and %s before", by, monotonic, began)
		}
	}
}
