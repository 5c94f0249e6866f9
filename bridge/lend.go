package bridge

import (
	"context"
	"time"
)

// together is how many messages of a large window leave in one write: the server
// has some while the next are made. With a small window, what there is room for
// is one write: another costs more than the server could do meanwhile.
const together = 32

// lend leaves the sender's work to the reader until there is something to do
// that takes a wait, and returns when the sender has it back. With few messages
// in flight a drain is a game of ping-pong: the reader, which knows first that
// there is room, fills it at once.
func (l *link) lend(ctx context.Context) error {
	l.lent <- ctx
	if !l.win.open() { // else the reader may have looked before
		select {
		case err := <-l.back:
			return err
		case <-ctx.Done():
		}
	}
	select {
	case err := <-l.back:
		return err
	case <-l.lent:
		return ctx.Err()
	}
}

// carry is the reader's part of lend: it sends what there is room for.
func (l *link) carry() {
	select {
	case ctx := <-l.lent:
		began, full := time.Now(), false
		l.up.hasty = true
		err := guard(func() (err error) {
			full, err = l.fill(ctx, began)
			return err
		})
		l.up.hasty = false
		l.up.wire.offer()
		l.busy += time.Since(began)
		if full && err == nil {
			l.lent <- ctx
		} else {
			l.back <- err
		}
	default:
	}
}

// fill forwards entries until the window is full; full is false when the next
// step is one that may wait for somebody.
func (l *link) fill(ctx context.Context, now time.Time) (full bool, err error) {
	paused, _ := l.b.pacer.gate()
	for n := 1; l.win.open(); n++ {
		if len(l.loose) == looseMost-1 || l.up.wire.choked() {
			return false, nil
		}
		if _, err := l.try(ctx, now, paused); err != nil || !l.taken || l.win.holds(packetID(l.entry.Seq)) {
			return false, err
		}
		l.taken, now = false, l.took
		if err := l.forward(ctx, &l.entry); err != nil {
			return false, err
		}
		if n%together == 0 {
			l.up.wire.offer()
			now = time.Now()
		}
	}
	return true, nil
}
