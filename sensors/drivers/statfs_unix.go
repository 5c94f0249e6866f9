//go:build linux || darwin

package drivers

import "syscall"

func statfs(path string) (disk, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return disk{}, err
	}
	block := uint64(st.Bsize)
	return disk{used: (st.Blocks - st.Bfree) * block, available: st.Bavail * block, readOnly: st.Flags&1 != 0}, nil
}
