//go:build unix

package gateway

import (
	"io/fs"
	"os"
	"syscall"
)

// foreignOwner reports whether a file belongs to somebody else than the user of this process, and to whom.
func foreignOwner(info fs.FileInfo) (uid uint32, foreign bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, int(st.Uid) != os.Geteuid()
}
