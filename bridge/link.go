package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	ackTimeout      = 60 * time.Second // without any acknowledgement while messages are in flight
	ackTimeoutBusy  = 10 * time.Minute // the same while bytes are leaving
	drainTimeout    = 2 * time.Second  // for the queue when the bridge stops
	subscribeChunk  = 8                // filters in one SUBSCRIBE; some clouds allow no more
	stableAfter     = 60 * time.Second // then a connection counts as good
	probeAfterStall = 3                // stalls in a row after which one message at a time is sent
)

// link is the work of one connection: the sender is in sender.go, what the
// reader does with acknowledgements in settle.go.
type link struct {
	b         *Bridge
	up        *upstream
	server    string    // host:port
	since     time.Time // connected
	plainWill bool      // the server refuses one that is retained
	until     time.Time // when the credentials end; zero: never
	lim       limits    // what the CONNACK allows
	win       *window
	hold      hold
	waited    int      // messages in the queue when connected
	lends     bool     // the sender lends its work to the reader; see lend.go
	commands  []string // of the Edge: filters of its commands

	moved    chan struct{}        // one slot: an entry was removed
	lent     chan context.Context // from the sender: the reader goes on with its work
	back     chan error           // from the reader: how that ended
	backlog  atomic.Int64         // of waited, not yet removed
	answered atomic.Bool          // the server has acknowledged something
	hurry    atomic.Bool          // batches wait no longer
	reborn   atomic.Bool          // births of the Edge are due

	sending
	settling
}

// good reports whether the connection has been stable, and of use.
func (l *link) good() bool { return l.answered.Load() && time.Since(l.since) >= stableAfter }

// open connects to s. Before 5.0 the bridge bit is tried first, where there is
// something to subscribe to: a server that knows it does not send back what
// came from here, and keeps RETAIN. One that refuses it, or closes over it, and
// takes CONNECT without it, is not asked again.
func (b *Bridge) open(ctx, lctx context.Context, s server) (*link, error) {
	bit := b.o.Protocol != mqtt.V5 && len(b.o.In) > 0 && !b.o.Profile.NoBridgeBit && !b.plain[s]
	l, err := b.connect(ctx, lctx, s, bit)
	if bit && dislikesBit(err) {
		l, err = b.connect(ctx, lctx, s, false)
		b.plain[s] = err == nil
	}
	if b.dislikesWill(s, err) {
		if l, err = b.connect(ctx, lctx, s, false); err == nil {
			b.o.Log.Warn("the server refuses a retained will: the bridge does without", "bridge", b.o.Name, "remote", s.address())
		} else {
			b.wills[s] = 0
		}
	}
	return l, err
}

// plainWill in wills marks a server that takes no retained will.
const plainWill = -1

// dislikesWill reports whether to try once more with a will that is not
// retained and of QoS 0. Before 5.0 a server without retained messages closes
// without a word, as one does that is not well: every third time is looked at.
func (b *Bridge) dislikesWill(s server, err error) bool {
	var f *failure
	silent := errors.Is(err, errNoConnack) && b.o.Protocol != mqtt.V5
	switch errors.As(err, &f); {
	case b.o.StatusTopic == "" || b.wills[s] == plainWill:
		return false
	case silent:
		b.wills[s]++
	default:
		b.wills[s] = 0
	}
	told := f != nil && (f.code == mqtt.RetainNotSupported || f.code == mqtt.QoSNotSupported)
	if !told && (!silent || b.wills[s]%3 != 0) {
		return false
	}
	b.wills[s] = plainWill
	return true
}

// dislikesBit reports whether a CONNECT may have failed for the bridge bit.
func dislikesBit(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.code == mqtt.UnsupportedProtocolVersion || errors.Is(err, errNoConnack)
}

// connect opens one connection and waits for CONNACK. ctx bounds the wait, lctx
// lives as long as the link.
func (b *Bridge) connect(ctx, lctx context.Context, s server, bit bool) (*link, error) {
	c, err := b.dialer.connect(ctx, s)
	if err != nil {
		return nil, err
	}
	in, err := b.o.login(s.host, time.Now())
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	in.bridge, in.plainWill = bit, b.wills[s] == plainWill
	kept := context.WithoutCancel(lctx) // what was acknowledged is recorded also while the link is ending
	l := &link{b: b, server: s.address(), moved: make(chan struct{}, 1), lent: make(chan context.Context, 1), back: make(chan error, 1), until: in.until}
	l.batches = map[int]*gathered{}
	l.plainWill = in.plainWill
	l.begins(&in)
	l.lends = b.o.Edge == nil && !slices.ContainsFunc(b.out, func(r route) bool { return r.batch.Form != BatchNone })
	l.up, err = connectUpstream(ctx, c, &b.o, in, callbacks{
		connected:    l.begin,
		acknowledged: l.acknowledged,
		settle:       func() error { return l.settle(kept) },
		settled:      l.carry,
		received: func(in inbound) (mqtt.ReasonCode, error) {
			if code, handled, err := l.command(lctx, in); handled {
				return code, err
			}
			if in.cut {
				b.o.Log.Warn("a message of the server is too large", "bridge", b.o.Name, "topic", in.topic, "bytes", b.o.PacketSize)
			}
			return b.receiver.receive(lctx, in)
		},
		released: func(id uint16) (mqtt.ReasonCode, error) { return b.receiver.release(lctx, id) },
	})
	if err != nil {
		return nil, err
	}
	b.dialer.names.answered(s.host)
	l.since = time.Now()
	return l, nil
}

// begin sets up the link for what the CONNACK allows.
func (l *link) begin(lim limits) {
	n := min(lim.receiveMaximum, l.b.o.InFlight)
	if l.b.probing() {
		n = 1
	}
	if l.plainWill && l.b.o.Protocol != mqtt.V5 { // where CONNACK does not tell
		lim.retain = false
	}
	l.lim = lim
	l.win = newWindow(n, l.b.o.InFlightBytes)
	l.b.receiver.begin(l.b.o.Name+"@"+l.server, lim.sessionPresent)
	l.b.receiver.anew, l.b.receiver.v3 = !lim.sessionPresent || l.asksAnew(), l.b.o.Protocol != mqtt.V5
	if !lim.sessionPresent {
		l.b.cuts.lost()
	}
}

// serve runs the link until it fails or ctx ends; then the queue is drained
// for a moment and the server told. It returns after everything it started. at
// is the server's place in the list.
func (l *link) serve(ctx, lctx context.Context, cancel func(), at int) error {
	if l.b.queue != nil {
		l.rewind()
		l.waited = l.b.queue.stats().Messages
		l.backlog.Store(int64(l.waited))
	}
	failed := make(chan error, 4)
	sctx, stopSending := context.WithCancel(lctx)
	defer stopSending()
	var workers sync.WaitGroup
	start := func(f func(context.Context) error) {
		workers.Go(func() {
			if err := guard(func() error { return f(lctx) }); err != nil {
				failed <- err
			}
		})
	}
	start(l.subscribe)
	start(func(context.Context) error { return l.send(sctx) })
	start(func(ctx context.Context) error { return l.foresee(ctx, at) })

	err := l.watch(ctx, failed)
	var p *planned
	switch {
	case err == nil:
		l.hurry.Store(true)
		l.b.pacer.nudge()
		l.drain(failed)
	case errors.As(err, &p):
		stopSending()
		l.quiesce()
	}
	cancel()
	code, say := l.farewell(err)
	l.up.close(code, say)
	workers.Wait()
	return err
}

// watch waits for the end of the link; nil means that ctx ended.
func (l *link) watch(ctx context.Context, failed <-chan error) error {
	stalled := time.NewTimer(ackTimeout)
	defer stalled.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			// The wire knows better why a write failed.
			select {
			case first := <-l.up.down:
				return first
			default:
				return err
			}
		case err := <-l.up.down:
			return err
		case <-stalled.C:
			n, progress, _ := l.win.inFlight()
			// A large message on a slow link leaves before it is acknowledged.
			if b := l.up.wire.busy(); b.After(progress) && time.Since(progress) < ackTimeoutBusy {
				progress = b
			}
			left := ackTimeout - time.Since(progress)
			if n == 0 {
				left = ackTimeout
			}
			if left <= 0 {
				return failf(ClassStalled, "no acknowledgement for %v with %d messages in flight", ackTimeout, n)
			}
			stalled.Reset(left)
		}
	}
}

// drain gives the queue a moment to empty before the bridge stops.
func (l *link) drain(failed <-chan error) {
	if l.b.queue == nil {
		return
	}
	limit := time.NewTimer(drainTimeout)
	defer limit.Stop()
	for l.b.queue.stats().Messages > 0 {
		select {
		case <-l.moved:
		case <-l.up.down:
			return
		case <-failed:
			return
		case <-limit.C:
			return
		}
	}
}

// farewell says what a link that ends tells the server, if it can be told.
func (l *link) farewell(err error) (mqtt.ReasonCode, bool) {
	var p *planned
	wanted := err == nil || errors.As(err, &p)
	switch {
	case wanted && (p == nil || p.leaves) && (l.b.o.StatusTopic != "" || l.b.o.Edge != nil):
		// With this code the server publishes the will: "offline" stays
		// there whether or not the packet arrives.
		return mqtt.DisconnectWithWill, true
	case wanted: // the will would only flicker
		return mqtt.NormalDisconnection, true
	}
	var f *failure
	if !errors.As(err, &f) {
		return 0, false
	}
	switch f.class {
	case ClassStalled:
		return mqtt.ImplementationSpecificError, true
	case ClassProtocol:
		return mqtt.ProtocolError, true
	case ClassLocal:
		return mqtt.UnspecifiedError, true
	}
	return 0, false
}

// guard turns a panic into a failure of this link only.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = failf(ClassLocal, "panic: %v", r)
		}
	}()
	return f()
}
