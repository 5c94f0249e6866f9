package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// firstInherited is the descriptor of the first socket (sd_listen_fds(3)).
const firstInherited = 3

// Inherited holds the sockets that systemd opened and passed on.
type Inherited struct {
	files []*os.File
}

// Inherit takes over the sockets passed on by the process that started this
// one, as LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES name them. It unsets the
// variables and marks the sockets close-on-exec: they are not for children.
// It must be called once.
func Inherit() (*Inherited, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			os.Unsetenv(name) // fails only for names that are none
		}
	}()
	in := new(Inherited)
	count := os.Getenv("LISTEN_FDS")
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() || count == "" {
		return in, nil // nothing, or not for this process
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1000 {
		return in, fmt.Errorf("LISTEN_FDS=%q is not a number of sockets", count)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		fd := firstInherited + i
		syscall.CloseOnExec(fd)
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		in.files = append(in.files, os.NewFile(uintptr(fd), name))
	}
	return in, nil
}

// Take returns the listeners of a name (FileDescriptorName= in the socket
// unit), which may be several, in their order. The caller closes them.
func (in *Inherited) Take(name string) ([]net.Listener, error) {
	var all []net.Listener
	var err error
	in.files = slices.DeleteFunc(in.files, func(f *os.File) bool {
		if f.Name() != name {
			return false
		}
		ln, lerr := net.FileListener(f) // a copy
		f.Close()
		if lerr != nil {
			err = errors.Join(err, fmt.Errorf("socket %q of systemd is not a listening stream socket: %w", name, lerr))
		} else {
			all = append(all, ln)
		}
		return true
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("systemd passed no socket named %q (%s)", name, in.passed())
	}
	if err != nil {
		for _, ln := range all {
			ln.Close()
		}
		return nil, err
	}
	return all, nil
}

// passed words what is there.
func (in *Inherited) passed() string {
	if len(in.files) == 0 {
		return "it passed none"
	}
	return "it passed " + strings.Join(in.Names(), ", ")
}

// Names returns the names of the sockets that nobody took.
func (in *Inherited) Names() []string {
	var names []string
	for _, f := range in.files {
		names = append(names, f.Name())
	}
	return names
}

// Close closes the sockets that nobody took.
func (in *Inherited) Close() {
	for _, f := range in.files {
		f.Close()
	}
	in.files = nil
}
