package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"
)

const (
	firstBackOff = 5 * time.Millisecond
	maxBackOff   = time.Second
)

// Accept calls handle for each connection until ctx ends, then closes ln and
// returns. handle must not wait. An error of accept, such as no file
// descriptor left, is logged once per run of failures and tried again.
func Accept(ctx context.Context, ln net.Listener, log *slog.Logger, handle func(net.Conn)) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer func() {
		if stop() {
			ln.Close()
		}
	}()
	wait := firstBackOff
	for {
		nc, err := ln.Accept()
		if err == nil {
			wait = firstBackOff
			tune(nc)
			handle(nc)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if wait == firstBackOff {
			log.Warn("accept failed, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxBackOff)
	}
}

// tune turns Nagle's algorithm off: writes are batched already, and waiting
// for the peer's acknowledgement costs more than half of the throughput.
func tune(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetNoDelay(true) // the connection works without it, only slower
	}
}

// Bind listens on "host:port" or "unix:/path". A socket file left by a
// process that is gone is replaced.
func Bind(bind string) (net.Listener, error) {
	path, unix := strings.CutPrefix(bind, "unix:")
	if !unix {
		return net.Listen("tcp", bind)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", bind, err)
	}
	return net.Listen("unix", path)
}

// removeStale removes a socket nobody answers on; anything else stays.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&os.ModeSocket == 0 {
		return nil // missing, or for net.Listen to refuse
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process listens there")
	}
	return os.Remove(path)
}
