//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// askEvery is how often a wait for the keyboard looks whether it was
// interrupted, in milliseconds.
const askEvery = 100

// readHidden asks for a line on the terminal f without showing what is typed.
// It waits until ctx ends.
func readHidden(ctx context.Context, f *os.File, w io.Writer, prompt string) ([]byte, error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, errors.New("there is no terminal to ask for a password: use --stdin")
	}
	hidden := *old
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, fmt.Errorf("hide what is typed: %w", err)
	}
	defer func() {
		unix.IoctlSetTermios(fd, setTermios, old) // as it was; there is nobody left to tell
		fmt.Fprintln(w)
	}()
	fmt.Fprint(w, prompt)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, askEvery)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
		if n > 0 {
			break
		}
	}
	b := make([]byte, maxPasswordLine)
	n, err := unix.Read(fd, b) // a whole line: the terminal hands out no less
	if err != nil {
		return nil, err
	}
	line, _, whole := bytes.Cut(b[:n], []byte("\n"))
	if !whole {
		return nil, errors.New("no line was typed")
	}
	return line, nil
}

// readKeys sends the keys that are typed on the terminal f, each as it is
// typed, until ctx ends; nothing if f is no terminal.
func readKeys(ctx context.Context, f *os.File, keys chan<- byte) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return
	}
	single := *old
	single.Lflag &^= unix.ECHO | unix.ICANON
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, setTermios, &single) != nil {
		return
	}
	defer unix.IoctlSetTermios(fd, setTermios, old) // as it was; there is nobody left to tell
	var b [1]byte
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, askEvery)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if n <= 0 {
			continue
		}
		if n, err := unix.Read(fd, b[:]); n != 1 || err != nil {
			return // the terminal is gone
		}
		select {
		case keys <- b[0]:
		case <-ctx.Done():
		}
	}
}

// keepOwner gives f the owner of the file that it replaces.
func keepOwner(f *os.File, old fs.FileInfo) error {
	st, ok := old.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
