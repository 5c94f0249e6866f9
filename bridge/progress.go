package bridge

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// stallAfter is how long a write may make no progress at all. On a slow link
// any byte that leaves starts the wait again.
const stallAfter = 20 * time.Second

// progressConn gives every write a deadline by progress. It lies below TLS,
// whose state does not survive a write that timed out half way.
type progressConn struct {
	net.Conn
	raw syscall.RawConn // nil: see quiet
}

// writeChunk is small enough for a link of 1 kB/s to move one in time.
const writeChunk = 8 << 10

func (c progressConn) Write(p []byte) (n int, err error) {
	if n = c.sendNow(p); n == len(p) {
		return n, nil
	}
	for n < len(p) {
		if err := c.SetWriteDeadline(time.Now().Add(stallAfter)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(p[n:min(len(p), n+writeChunk)])
		n += m
		if errors.Is(err, os.ErrDeadlineExceeded) && m > 0 {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return n, failf(ClassStalled, "no byte could be written for %v: %w", stallAfter, err)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
