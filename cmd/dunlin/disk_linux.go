package main

import "syscall"

// diskSpace tells how many bytes are free for everybody on the file system of
// path, and its kind where that matters.
func diskSpace(path string) (free int64, kind string, ok bool) {
	var st syscall.Statfs_t
	if syscall.Statfs(path, &st) != nil {
		return 0, "", false
	}
	switch uint32(st.Type) { // linux/magic.h
	case 0x01021994:
		kind = "tmpfs"
	case 0x794c7630:
		kind = "overlay"
	}
	return int64(st.Bavail) * int64(st.Bsize), kind, true
}
