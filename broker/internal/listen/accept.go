package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
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
	closed := make(chan struct{})
	closing := func() {
		ln.Close()
		close(closed)
	}
	stop := context.AfterFunc(ctx, closing)
	defer func() {
		if stop() {
			closing()
		}
		<-closed // who comes back finds the address free
	}()
	var spare reserve
	spare.fill()
	defer spare.spend()
	wait := firstBackOff
	for {
		nc, err := ln.Accept()
		if exhausted(err) {
			nc = spare.accept(ln)
		}
		if nc != nil {
			if err == nil {
				wait = firstBackOff
			}
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

// exhausted reports whether descriptors ran out.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// reserve is one descriptor kept back. When there is no other, it is given up
// to accept a client and close it: a client that is refused knows, one that is
// left in the kernel's queue waits.
type reserve struct{ file *os.File }

func (r *reserve) fill() {
	r.file, _ = os.Open(os.DevNull) // without a reserve clients wait, that is all
}

func (r *reserve) spend() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// accept takes the next client and closes it, unless descriptors have become
// free meanwhile: then the client is returned.
func (r *reserve) accept(ln net.Listener) net.Conn {
	r.spend()
	nc, err := ln.Accept()
	r.fill()
	if err != nil {
		return nil
	}
	if r.file == nil {
		nc.Close()
		r.fill()
		return nil
	}
	return nc
}
