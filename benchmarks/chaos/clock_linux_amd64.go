package chaos

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clock is the wall clock of one process. Nothing else than time itself tells a process of Go what time it is, neither
// a library in between nor a namespace: the kernel maps code for that into each process, the vDSO. Here its first
// bytes are written over, by a call of the kernel and an addition.
type clock struct {
	pid   int
	at    []uint64 // addresses of what is written over
	saved [][]byte
}

// wallClock is clock_gettime(2) with by seconds added to CLOCK_REALTIME, and to nothing else.
//
//	mov eax, 228; syscall; test edi, edi; jnz end; add qword [rsi], by; end: ret
func wallClock(by int32) []byte {
	code := []byte{0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x07, 0x48, 0x81, 0x06}
	return append(binary.LittleEndian.AppendUint32(code, uint32(by)), 0xc3)
}

// timeOfDay is gettimeofday(2) with by seconds added.
//
//	mov eax, 96; syscall; test rdi, rdi; jz end; add qword [rdi], by; end: ret
func timeOfDay(by int32) []byte {
	code := []byte{0xb8, 96, 0, 0, 0, 0x0f, 0x05, 0x48, 0x85, 0xff, 0x74, 0x07, 0x48, 0x81, 0x07}
	return append(binary.LittleEndian.AppendUint32(code, uint32(by)), 0xc3)
}

// jump lets the wall clock of a process jump, forward or back. It leaves the monotonic one alone, as the clock of a machine does
// that is set.
func (c *clock) jump(by time.Duration) error {
	return c.write(wallClock(int32(by/time.Second)), timeOfDay(int32(by/time.Second)))
}

// mend sets it right again.
func (c *clock) mend() error { return c.write(c.saved...) }

// clockOf finds the clock of a process.
func clockOf(pid int) (*clock, error) {
	start, image, err := vdso(pid)
	if err != nil {
		return nil, fmt.Errorf("process %d: vDSO: %w", pid, err)
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("process %d: vDSO: %w", pid, err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("process %d: vDSO: %w", pid, err)
	}
	c := &clock{pid: pid}
	for _, name := range []string{"__vdso_clock_gettime", "__vdso_gettimeofday"} {
		for _, s := range symbols {
			if s.Name == name {
				n := max(len(wallClock(0)), len(timeOfDay(0)))
				c.at = append(c.at, start+s.Value)
				c.saved = append(c.saved, bytes.Clone(image[s.Value:s.Value+uint64(n)]))
			}
		}
	}
	if len(c.at) != 2 {
		return nil, fmt.Errorf("process %d: vDSO: %d symbols of clocks, want 2", pid, len(c.at))
	}
	return c, nil
}

// vdso reads what is mapped as vDSO.
func vdso(pid int) (start uint64, image []byte, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			continue
		}
		var end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return 0, nil, err
		}
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			return 0, nil, err
		}
		defer mem.Close()
		image = make([]byte, end-start)
		_, err = mem.ReadAt(image, int64(start))
		return start, image, err
	}
	return 0, nil, errors.New("not mapped")
}

// write writes code where the clock's functions begin, while the process is stopped and no thread is in these bytes.
func (c *clock) write(code ...[]byte) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	for range 100 {
		if err := syscall.Kill(c.pid, syscall.SIGSTOP); err != nil {
			return err
		}
		safe, err := c.outside()
		if safe {
			for i, at := range c.at {
				_, failed := mem.WriteAt(code[i], int64(at))
				err = errors.Join(err, failed)
			}
		}
		if err = errors.Join(err, syscall.Kill(c.pid, syscall.SIGCONT)); err != nil || safe {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("process %d is always asking for the time", c.pid)
}

// outside reports whether all threads have stopped, none of them where code is written. Only a thread that runs user code can be
// there: proc(5) says "-1", its stack and its program counter of those, and "running" of one that has not stopped.
func (c *clock) outside() (bool, error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", c.pid))
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", c.pid, t.Name()))
		if err != nil {
			return false, err
		}
		fields := strings.Fields(string(text))
		if fields[0] == "running" {
			return false, nil
		}
		pc, err := strconv.ParseUint(fields[len(fields)-1], 0, 64)
		if err != nil {
			return false, err
		}
		for i, at := range c.at {
			if pc >= at && pc < at+uint64(len(c.saved[i])) {
				return false, nil
			}
		}
	}
	return true, nil
}
