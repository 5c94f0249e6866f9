//go:build unix

package auth

import (
	"io/fs"
	"os"
	"syscall"
)

// openFile opens a file for reading; not through a link, and without waiting
// for the other end of a pipe.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}

// foreign reports the owner of a file that belongs neither to root nor to
// this process's user.
func foreign(info fs.FileInfo) (owner uint32, ok bool) {
	st, known := info.Sys().(*syscall.Stat_t)
	if !known || st.Uid == 0 || int(st.Uid) == os.Geteuid() {
		return 0, false
	}
	return st.Uid, true
}
