package bridge

import (
	"context"
	"slices"
	"strings"
	"time"
)

// planned is the end of a connection that nobody is to blame for: the next one
// follows at once.
type planned struct{ why string }

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
		case <-renew:
			return &planned{"renew the credentials"}
		case <-back:
			if l.b.reachable(ctx, l.b.servers[:at]) {
				l.b.failback = min(2*l.b.failback, failbackMax)
				return &planned{"return to a preferred server"}
			}
			again.Reset(l.b.failback)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reachable reports whether one of the servers takes a connection, up to and
// with TLS and WebSocket. CONNECT would end the session's present connection.
func (b *Bridge) reachable(ctx context.Context, servers []server) bool {
	for _, s := range servers {
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

// follow lets the next attempt begin with a server that a Server Reference
// names [MQTT-4.11.0-1], if it is one of the list: whoever could forge a
// reference could take all data away.
func (b *Bridge) follow(reference string) {
	names := strings.Fields(reference)
	if i := slices.IndexFunc(b.servers, func(s server) bool {
		return slices.Contains(names, s.host) || slices.Contains(names, s.address())
	}); i >= 0 {
		b.start = i
	}
}
