package bridge

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// planned is the end of a connection that nobody is to blame for: the next one
// follows at once.
type planned struct {
	why    string
	leaves bool // the next one is to another server
}

func (p *planned) Error() string { return p.why }

const (
	failbackMin = time.Minute // on another server than the first, until that one is tried again
	failbackMax = 30 * time.Minute
	settleLimit = 5 * time.Second // for what is in flight when a planned end comes
	renewAt     = 0.8             // of the life of a credential
)

// foresee waits for a reason to leave a connection that works: credentials that
// end soon, or a preferred server that is back. It ends with the link.
func (l *link) foresee(ctx context.Context, at int) error {
	renew := make(<-chan time.Time)
	if !l.until.IsZero() {
		t := time.NewTimer(time.Duration(renewAt * float64(time.Until(l.until))))
		defer t.Stop()
		renew = t.C
	}
	back := make(<-chan time.Time)
	var again *time.Timer
	if at > 0 {
		again = time.NewTimer(l.b.failback)
		defer again.Stop()
		back = again.C
	}
	for {
		select {
		case <-l.b.anew:
			return &planned{why: "a person asked for it"}
		case <-renew:
			return &planned{why: "renew the credentials"}
		case <-back:
			if l.b.reachable(ctx, at) {
				l.b.failback = min(2*l.b.failback, failbackMax)
				return &planned{why: "return to a preferred server", leaves: true}
			}
			again.Reset(l.b.failback)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reachable reports whether one of the servers before this place takes a
// connection, up to and with TLS and WebSocket. CONNECT would end the session's
// present connection.
func (b *Bridge) reachable(ctx context.Context, before int) bool {
	for i, s := range b.servers[:before] {
		if b.waits(i) {
			continue
		}
		if c, err := b.dialer.connect(ctx, s); err == nil {
			_ = c.Close()
			return true
		}
	}
	return false
}

// quiesce waits, for a moment, until nothing is in flight; the sender has
// stopped.
func (l *link) quiesce() {
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	for {
		n, _, changed := l.win.inFlight()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-l.up.down:
			return
		case <-limit.C:
			return
		}
	}
}

// order is in which order the next attempt tries the servers: the one that
// another server has named, then the list.
func (b *Bridge) order() []int {
	order := []int{b.start}
	for i := range b.servers {
		if i != b.start {
			order = append(order, i)
		}
	}
	b.start = 0
	return order
}

// aside is why a server is not asked until then, while others of the list are.
type aside struct {
	until time.Time
	why   *failure
}

// putAside notes that the server at this place waits for a person. Others of the
// list may be asked every second, but not this one with a password that it refused.
func (b *Bridge) putAside(at int, why *failure) {
	delete(b.aside, at)
	if why.class.slow() {
		b.aside[at] = aside{time.Now().Add(backoffSlowBase), why}
	}
}

// waits reports whether the server at this place is put aside. foresee calls it
// too: while a link is up, Run changes nothing.
func (b *Bridge) waits(at int) bool { return time.Now().Before(b.aside[at].until) }

// flapLimit is how many connections in a row a server may take and end before
// the next one of the list is asked: one more than a message may cost.
const flapLimit = closeLimit + 1

// moveOn decides which server the next attempt begins with, after a connection to
// that of place at: one that it has named, or the next one after a server that
// takes connections and then does no good. That a preferred server is back does
// not count before a connection to it has lasted.
func (b *Bridge) moveOn(at int, l *link, err error) {
	f := classify(err, time.Now())
	var p *planned
	wanted := err == nil || errors.As(err, &p)
	switch good := l.good() && f.class != ClassStalled; {
	case good:
		b.flaps = 0
		if at == 0 {
			b.failback = failbackMin
		}
	case !wanted:
		b.flaps++
	}
	switch n := b.named(f.other); {
	case n >= 0:
		b.start = n
	case p != nil && !p.leaves:
		b.start = at // whether a preferred one is back is asked by foresee, while this one works
	case b.flaps >= flapLimit:
		b.start, b.flaps = (at+1)%len(b.servers), 0
	}
}

// named is the server of the list that a Server Reference means
// [MQTT-4.11.0-1], negative for none. Others are not followed: whoever could forge
// a reference could take all data away.
func (b *Bridge) named(reference string) int {
	names := strings.Fields(reference)
	return slices.IndexFunc(b.servers, func(s server) bool {
		return slices.Contains(names, s.host) || slices.Contains(names, s.address())
	})
}
