package update

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The conversation on the socket is lines. The client says one of
//
//	status
//	update            and the file behind it, then closes its side
//	update downgrade  the same, and the file may be older than what runs
//
// and the updater answers with any number of
//
//	progress DONE ALL   bytes of the slot
//
// and one line at the end:
//
//	ok SENTENCE
//	refused SENTENCE    nothing has changed that matters
const (
	connections = 4                // at a time; more are closed at once
	patience    = 30 * time.Second // for a client that should say or take something
	progressGap = 250 * time.Millisecond
	farewell    = time.Second // from the last sentence to the restart: it may have a network to cross
)

// serve listens until ctx ends, and waits for its connections.
func (u *Updater) serve(ctx context.Context) error {
	os.Remove(u.Socket) // of a run before this one
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: u.Socket, Net: "unix"})
	if err != nil {
		return err
	}
	// Everybody may connect and be told why not; the kernel says who they are.
	if err := os.Chmod(u.Socket, 0o666); err != nil {
		ln.Close()
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	free := make(chan struct{}, connections)
	for {
		c, err := ln.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case free <- struct{}{}:
		default:
			c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-free }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			u.answer(ctx, c)
		})
	}
}

// talk is one conversation. Errors of writing show in the next read or do not
// matter: what was begun is brought to its end without the listener.
type talk struct {
	c    *net.UnixConn
	last time.Time // when progress was told
}

func (t *talk) say(format string, args ...any) {
	t.c.SetWriteDeadline(time.Now().Add(patience))
	fmt.Fprintf(t.c, format+"\n", args...)
}

func (t *talk) progress(done, all int64) {
	if now := time.Now(); done == 0 || done == all || now.Sub(t.last) >= progressGap {
		t.last = now
		t.say("progress %d %d", done, all)
	}
}

// Read gives the client time for each piece of a file.
func (t *talk) Read(p []byte) (int, error) {
	t.c.SetReadDeadline(time.Now().Add(patience))
	n, err := t.c.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing came for %v", patience)
	}
	return n, err
}

func (u *Updater) answer(ctx context.Context, c *net.UnixConn) {
	t := &talk{c: c}
	if uid, err := peer(c); err != nil || uid != 0 && !slices.Contains(u.Users, uid) {
		t.say("refused only root and the gateway's own user may ask this")
		return
	}
	in := bufio.NewReaderSize(t, 64<<10)
	first, err := in.ReadSlice('\n') // of the buffer's size at most
	if err != nil || len(first) > 100 {
		return
	}
	line := string(first)
	switch strings.TrimSpace(line) {
	case "status":
		t.say("ok %s", u.status())
	case "update", "update downgrade":
		u.take(ctx, t, in, strings.HasSuffix(line, "downgrade\n"))
	default:
		t.say("refused this is not a question of this version: %q", line)
	}
}

// take carries out an update that a client sends, and restarts.
func (u *Updater) take(ctx context.Context, t *talk, in io.Reader, older bool) {
	select {
	case u.busy <- struct{}{}:
	default:
		t.say("refused another update is being written, or the version that runs is on trial")
		return
	}
	defer func() { <-u.busy }()
	u.doing(writing)
	rec, err := u.install(ctx, in, older, t.progress)
	if err != nil {
		rec.Reason = err.Error()
		u.note(rec)
		t.say("refused %s", oneLine(err))
		return
	}
	u.note(rec)
	t.say("ok %s is written to slot %d; the gateway restarts to try it, and keeps %s if it does not prove itself", rec.Version, rec.Slot, rec.From)
	t.c.Close()
	select {
	case <-ctx.Done():
		return
	case <-time.After(farewell):
	}
	u.Restart(TryBoot)
	<-ctx.Done() // nothing else is written until the end
}

// status is one line: what runs, and what became of the last update.
func (u *Updater) status() string {
	rec, err := load(u.Record)
	if err != nil {
		return fmt.Sprintf("version %s in slot %d; the record of the last update cannot be read: %s", u.running, u.Slot, oneLine(err))
	}
	return fmt.Sprintf("version %s in slot %d; last update: %s", u.running, u.Slot, oneLine(errors.New(rec.String())))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// peer is the user at the other end (SO_PEERCRED, unix(7)).
func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	control := raw.Control(func(fd uintptr) {
		credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(control, err); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}
