package serial

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// claim takes the open tty for this program. Two locks, because each has a
// hole: flock is advisory, but holds for root and dies with its owner; TIOCEXCL
// keeps everyone out except root.
func claim(fd int, path, root string) error {
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if err == unix.EWOULDBLOCK {
			err = unix.EBUSY
		}
		return openError(path, err, root)
	}
	if isPty(fd) {
		// Its exclusive flag outlives a killed owner for as long as the master
		// is open, and would lock out the next start.
		return nil
	}
	if taken, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL); err == nil && taken != 0 {
		// Only root gets here: another program claimed the port without flock.
		return openError(path, unix.EBUSY, root)
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return openError(path, err, root)
	}
	return nil
}

// holder says who has path open, "" when that cannot be seen: the descriptors
// of another user's processes are root's to see.
func holder(path, root string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	proc := filepath.Join("/", root, "proc")
	fds, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "[0-9]*"))
	if err != nil {
		return ""
	}
	var list []string
	seen := ""
	for _, fd := range fds {
		pid := filepath.Base(filepath.Dir(filepath.Dir(fd)))
		if target, err := os.Readlink(fd); err != nil || target != real || pid == seen {
			continue
		}
		seen = pid
		list = append(list, describe(proc, pid))
	}
	if len(list) == 0 {
		return ""
	}
	return "open in " + strings.Join(list, ", ")
}

func describe(proc, pid string) string {
	if pid == strconv.Itoa(os.Getpid()) {
		return "this program"
	}
	name, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
}

// look reports whether path exists and whether this process may open it.
func look(path string) (exists, usable bool) {
	err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	return err == nil || err == unix.EACCES || err == unix.EPERM, err == nil
}

// whoMay says which group's members may open path, "" when nobody's may.
func whoMay(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || fi.Mode().Perm()&0o060 != 0o060 {
		return ""
	}
	group := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return "its group is " + group + ": add this program's user to it"
}
