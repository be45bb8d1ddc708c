package wasmhost

import (
	"bytes"
	"fmt"

	"github.com/weir-lb/weir/wasmhost/fuel"
)

// wasiModule is what guests with a language runtime import (WASI preview 1). Here there are no files, no arguments and
// no environment; standard input is empty, standard output and error go to the policy's log, time and randomness are
// the host's, sleeping does not take time, and exit is a trap.
const wasiModule = "wasi_snapshot_preview1"

// Errors of WASI preview 1.
const (
	wasiOK     = 0
	wasiBadFD  = 8  // EBADF
	wasiFault  = 28 // EINVAL
	wasiNoSys  = 52 // ENOSYS
	wasiNoSeek = 70 // ESPIPE
)

// maxVectors bounds the buffers of one fd_write and the subscriptions of one poll_oneoff.
const maxVectors = 1024

// answers returns a function that only answers so.
func answers(code uint64) func(*callContext, []uint64) {
	return func(_ *callContext, s []uint64) { s[0] = code }
}

func wasi(name string, do func(*callContext, []uint64), params ...fuel.ValType) hostFunction {
	return hostFunction{name, fuel.Sig(params, types{i32}), anywhere, do} // a language's runtime has times of its own
}

var wasiFunctions = [...]hostFunction{
	wasi("args_get", answers(wasiOK), i32, i32),
	wasi("args_sizes_get", noStrings, i32, i32),
	wasi("environ_get", answers(wasiOK), i32, i32),
	wasi("environ_sizes_get", noStrings, i32, i32),
	wasi("clock_res_get", func(c *callContext, s []uint64) {
		c.put64(s[1], 1000)
		s[0] = wasiOK
	}, i32, i32),
	wasi("clock_time_get", func(c *callContext, s []uint64) {
		c.put64(s[2], uint64(c.clock()))
		s[0] = wasiOK
	}, i32, i64, i32),
	wasi("fd_advise", answers(wasiBadFD), i32, i64, i64, i32),
	wasi("fd_allocate", answers(wasiBadFD), i32, i64, i64),
	wasi("fd_close", answers(wasiOK), i32),
	wasi("fd_datasync", answers(wasiBadFD), i32),
	wasi("fd_fdstat_get", fdStat, i32, i32),
	wasi("fd_fdstat_set_flags", answers(wasiOK), i32, i32),
	wasi("fd_fdstat_set_rights", answers(wasiBadFD), i32, i64, i64),
	wasi("fd_filestat_get", answers(wasiBadFD), i32, i32),
	wasi("fd_filestat_set_size", answers(wasiBadFD), i32, i64),
	wasi("fd_filestat_set_times", answers(wasiBadFD), i32, i64, i64, i32),
	wasi("fd_pread", answers(wasiBadFD), i32, i32, i32, i64, i32),
	wasi("fd_prestat_dir_name", answers(wasiBadFD), i32, i32, i32),
	wasi("fd_prestat_get", answers(wasiBadFD), i32, i32),
	wasi("fd_pwrite", answers(wasiBadFD), i32, i32, i32, i64, i32),
	wasi("fd_read", func(c *callContext, s []uint64) {
		if uint32(s[0]) != 0 {
			s[0] = wasiBadFD
			return
		}
		c.put32(s[3], 0) // the end
		s[0] = wasiOK
	}, i32, i32, i32, i32),
	wasi("fd_readdir", answers(wasiBadFD), i32, i32, i32, i64, i32),
	wasi("fd_renumber", answers(wasiBadFD), i32, i32),
	wasi("fd_seek", answers(wasiNoSeek), i32, i64, i32, i32),
	wasi("fd_sync", answers(wasiBadFD), i32),
	wasi("fd_tell", answers(wasiNoSeek), i32, i32),
	wasi("fd_write", fdWrite, i32, i32, i32, i32),
	wasi("path_create_directory", answers(wasiBadFD), i32, i32, i32),
	wasi("path_filestat_get", answers(wasiBadFD), i32, i32, i32, i32, i32),
	wasi("path_filestat_set_times", answers(wasiBadFD), i32, i32, i32, i32, i64, i64, i32),
	wasi("path_link", answers(wasiBadFD), i32, i32, i32, i32, i32, i32, i32),
	wasi("path_open", answers(wasiBadFD), i32, i32, i32, i32, i32, i64, i64, i32, i32),
	wasi("path_readlink", answers(wasiBadFD), i32, i32, i32, i32, i32, i32),
	wasi("path_remove_directory", answers(wasiBadFD), i32, i32, i32),
	wasi("path_rename", answers(wasiBadFD), i32, i32, i32, i32, i32, i32),
	wasi("path_symlink", answers(wasiBadFD), i32, i32, i32, i32, i32),
	wasi("path_unlink_file", answers(wasiBadFD), i32, i32, i32),
	wasi("poll_oneoff", pollOneoff, i32, i32, i32, i32),
	{"proc_exit", fuel.Sig(types{i32}, nil), anywhere, func(_ *callContext, s []uint64) {
		panic(trap(fmt.Sprintf("the guest exited with status %d", uint32(s[0]))))
	}},
	wasi("proc_raise", answers(wasiNoSys), i32),
	wasi("random_get", func(c *callContext, s []uint64) {
		for b := c.slice(s[0], s[1]); len(b) > 0; {
			var word [8]byte
			le.PutUint64(word[:], c.next())
			b = b[copy(b, word[:]):]
		}
		s[0] = wasiOK
	}, i32, i32),
	wasi("sched_yield", answers(wasiOK)),
	wasi("sock_accept", answers(wasiBadFD), i32, i32, i32),
	wasi("sock_recv", answers(wasiBadFD), i32, i32, i32, i32, i32, i32),
	wasi("sock_send", answers(wasiBadFD), i32, i32, i32, i32, i32),
	wasi("sock_shutdown", answers(wasiBadFD), i32, i32),
}

// slice returns guest memory [p, p+n) to write to, and charges for it.
func (c *callContext) slice(p, n uint64) []byte { return c.read(p, n) }

func (c *callContext) put32(p uint64, v uint32) { le.PutUint32(c.slice(p, 4), v) }

func (c *callContext) put64(p, v uint64) { le.PutUint64(c.slice(p, 8), v) }

// noStrings says that there are none, in no bytes.
func noStrings(c *callContext, s []uint64) {
	c.put32(s[0], 0)
	c.put32(s[1], 0)
	s[0] = wasiOK
}

// fdStat says of the three standard streams that they are character devices (2).
func fdStat(c *callContext, s []uint64) {
	if uint32(s[0]) > 2 {
		s[0] = wasiBadFD
		return
	}
	b := c.slice(s[1], 24)
	clear(b)
	b[0] = 2
	s[0] = wasiOK
}

// fdWrite puts what is written to standard output (1) and standard error (2) into the policy's log, by lines: runtimes
// write a panic in dozens of pieces. A line ends with its call at the latest. Empty ones are left out.
func fdWrite(c *callContext, s []uint64) {
	fd, n := uint32(s[0]), s[2]&none
	if fd != 1 && fd != 2 {
		s[0] = wasiBadFD
		return
	}
	if n > maxVectors {
		s[0] = wasiFault
		return
	}
	vectors := c.read(s[1], 8*n)
	if c.in.line == nil {
		c.in.line = make([]byte, 0, maxLogLine)
	}
	if fd != c.in.lineFD {
		c.in.endLine()
		c.in.lineFD = fd
	}
	written := uint32(0)
	for ; len(vectors) > 0; vectors = vectors[8:] {
		b := c.read(uint64(le.Uint32(vectors)), uint64(le.Uint32(vectors[4:])))
		written += uint32(len(b))
		for len(b) > 0 {
			text, rest, ended := bytes.Cut(b, []byte{'\n'})
			c.in.line = append(c.in.line, text[:min(len(text), cap(c.in.line)-len(c.in.line))]...)
			if ended && len(c.in.line) > 0 {
				c.charge(hostCallCharge) // a line costs what it would by log
				c.in.endLine()
			}
			b = rest
		}
	}
	c.put32(s[3], written)
	s[0] = wasiOK
}

// pollOneoff says at once that everything waited for has come: a policy has nothing to wait for.
func pollOneoff(c *callContext, s []uint64) {
	const subscription, event = 48, 32
	n := s[2] & none
	if n == 0 || n > maxVectors {
		s[0] = wasiFault
		return
	}
	in, out := c.read(s[0], subscription*n), c.slice(s[1], event*n)
	for k := range n {
		user, kind := le.Uint64(in[subscription*k:]), in[subscription*k+8]
		e := out[event*k:][:event]
		clear(e)
		le.PutUint64(e, user)
		e[10] = kind
	}
	c.put32(s[3], uint32(n))
	s[0] = wasiOK
}
