package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// keepAlive finds clients that vanished without MQTT's Keep Alive: after two
// minutes of silence, two minutes of probes. It is the listening socket that
// has these settings where accepted ones inherit them.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4}

// socketMode is that of a Unix socket: the owner and its group may connect.
const socketMode fs.FileMode = 0o660

// maxSocketPath is the longest name of a Unix socket, in bytes (unix(7); the
// BSDs have four less).
const maxSocketPath = 107

// Bind listens on "host:port" or "unix:/path". A socket file left by a
// process that is gone is replaced; the file is removed when the listener
// closes. Nagle's algorithm is off, as Go has it: writes are batched already.
//
// Sockets that are going to close do not hold the address, on Linux: they
// share it with the new one, 127.0.0.1:1883 beside :1883, until they close.
func Bind(bind string, going ...net.Listener) (net.Listener, error) {
	return listen(bind, 0, going)
}

// BindAhead is Bind also for an address that this machine does not have yet, on
// Linux (IP_FREEBIND of ip(7)): nobody can connect before it has.
func BindAhead(bind string) (net.Listener, error) { return listen(bind, 1, nil) }

func listen(bind string, ahead int, going []net.Listener) (net.Listener, error) {
	path, unix := strings.CutPrefix(bind, "unix:")
	if !unix {
		lc := tcpConfig(len(going), ahead)
		share(going, 1)
		ln, err := lc.Listen(context.Background(), "tcp", bind) // an address waits for nothing
		share(going, 0)
		share([]net.Listener{ln}, 0)
		return ln, err
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path has %d bytes, a socket's at most %d", bind, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", bind, err)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return early(c) }}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil { // the umask may have taken the group's right
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// removeStale removes a socket nobody answers on; anything else stays.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSocket == 0:
		return errors.New("there is something that is not a socket")
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
