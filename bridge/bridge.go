package bridge

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Bridge is one link to an upstream server. Make it with New, work it with Run.
type Bridge struct {
	o        Options
	self     string // local Client Identifier
	servers  []server
	out      []route
	queue    *lanes // nil: nothing goes up
	pacer    *pacer
	prep     preparer
	dialer   *dialer
	status   *status
	receiver *receiver

	reached chan struct{} // one slot: do not wait any longer for the next attempt
	anew    chan struct{} // one slot: end the connection that is up

	// What is remembered between connections; each is used by the goroutine
	// named, and connections follow one another.
	retry    backoff                // Run
	quota    backoff                // under hold.mu
	held     atomic.Bool            // the sender pauses: the server refused something for now
	stalls   int                    // Run: in a row
	suspect  suspect                // Run and the reader, under its lock
	owed     owed                   // the sender
	roomless roomless               // the sender
	poison   poison                 // under its lock
	cuts     cuts                   // the sender and the reader, under its lock
	tries    map[uint64]int         // the reader: attempts of messages that failed for now
	takeover []time.Time            // Run: the latest
	cutOff   int                    // Run, the reader and the sender: closes over the status message in a row
	window   atomic.Pointer[window] // of the link that is up; nil: none
	plain    map[server]bool        // Run: those that refuse the bridge bit
	wills    map[server]int         // Run: closes in place of CONNACK in a row, or plainWill
	start    int                    // Run: the server that the next attempt begins with
	flaps    int                    // Run: connections in a row that did no good
	aside    map[int]aside          // Run: servers that wait for a person
	failback time.Duration          // Run, and foresee of its link: until a preferred server is tried again
}

// New checks the options and returns a bridge. It opens nothing. Its errors leave
// it to the caller to name the bridge.
func New(o Options) (*Bridge, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.Profile.bound(&o)
	b := &Bridge{
		o: o, self: LocalID(o.Name), status: newStatus(time.Now()),
		tries: map[uint64]int{}, plain: map[server]bool{}, wills: map[server]int{}, aside: map[int]aside{}, failback: failbackMin, reached: make(chan struct{}, 1), anew: make(chan struct{}, 1),
		retry: backoff{rand: rand.Int64N, limit: o.RetryMax}, quota: backoff{rand: rand.Int64N, limit: o.RetryMax},
	}
	for _, text := range o.Servers {
		s, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		b.servers = append(b.servers, s)
	}
	var err error
	if b.dialer, err = newDialer(&o); err != nil {
		return nil, err
	}
	if b.out, err = compileAll("out", o.Out); err != nil {
		return nil, err
	}
	in, err := compileAll("in", o.In)
	if err != nil {
		return nil, err
	}
	if len(b.out) > 0 {
		b.queue = &lanes{queues: o.Queues}
		b.owed.held = o.Held
		b.owed.resumed(b.queue, &o.Intakes, &o.Crowded)
	}
	b.pacer = newPacer(o.Pace, o.Usage)
	b.prep = preparer{self: b.self, clientID: o.ClientID, mark: o.Mark, routes: b.out, envelope: o.Envelope, synced: o.ClockSynced, clock: o.Clock}
	b.prep.sentBatch = b.cuts.holds
	b.receiver = newReceiver(b.self, in, &b.prep, o.Local, b.status)
	b.receiver.held, b.receiver.base = o.Held, o.Base
	b.receiver.stopped = func(from string) {
		b.o.Log.Error("a loop: what goes up comes down again; the route is stopped for a while", "bridge", o.Name, "topic", from, "wait", stormStop)
		b.event(Event{Kind: EventStorm, Reason: from, Duration: stormStop})
	}
	return b, nil
}

// Name is Options.Name.
func (b *Bridge) Name() string { return b.o.Name }

// Stats returns the state and the counters. It does not block on the network.
func (b *Bridge) Stats() Stats {
	s := b.status.snapshot()
	if b.queue != nil {
		s.Queue = b.queue.stats()
		s.InFlight = s.Queue.InFlight
	}
	for _, in := range b.o.Intakes {
		if in != nil {
			left, gave := in.thinned()
			s.Thinned += left + gave
			s.Queue.Accepted += left
			s.Queue.Dropped += left
			s.Queue.Drops[mqtt.DropSampled] += left
		}
	}
	if b.o.Dead != nil {
		s.DeadKept = b.o.Dead.Stats().Messages
	}
	s.Storms = b.receiver.storm.stops()
	now := time.Now()
	s.LastLoss = b.status.lost(now, s.Queue.Drops.Lost())
	b.o.Clock.correct(now, now) // it looks whether the clock was set
	s.Today, s.Paused = b.pacer.used(now), b.Paused()
	if w := b.window.Load(); w != nil {
		n, since, _ := w.inFlight()
		s.judge(now, n, since)
	}
	if s.State == Up && len(s.NotSubscribed) > 0 {
		s.Class, s.Reason = ClassRefused, "not subscribed to "+strings.Join(s.NotSubscribed, ", ")
	}
	usedUp := b.o.Pace.Daily > 0 && s.Today >= b.o.Pace.Daily
	if usedUp && s.State == Up && s.Queue.Messages > 0 {
		s.Class, s.Reason = ClassQuota, "the bytes of the day are used up: all but alarms wait for midnight UTC"
	}
	if b.held.Load() && s.State == Up {
		s.Class, s.Reason = ClassQuota, "the server refuses messages for now: what waits is sent after a pause"
	}
	if n := s.Queue.Messages; n > 0 && s.Rate > 0.01 && !usedUp && !s.Paused {
		s.Drain = time.Duration(float64(n) / s.Rate * 1e9)
	}
	return s
}

// Run keeps the link up until ctx ends; then it lets the queue drain for up to
// 2 s, leaves "offline" on the status topic and returns nil.
func (b *Bridge) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		var up time.Duration
		err := guard(func() (err error) {
			up, err = b.attempt(ctx)
			return err
		})
		if err == nil || ctx.Err() != nil {
			break
		}
		var p *planned
		if errors.As(err, &p) {
			b.o.Log.Info("bridge reconnects", "bridge", b.o.Name, "reason", p.why)
			continue
		}
		f := classify(err, time.Now())
		wait := b.down(f, up)
		if b.rest(ctx, wait, f.class) != nil {
			break
		}
	}
	b.status.update(func(s *Stats) {
		s.State, s.Since, s.Reason = Down, time.Now(), "stopped"
	})
	if err := b.pacer.close(); err != nil {
		b.o.Log.Warn("bridge forgets what it sent today", "bridge", b.o.Name, "err", err)
	}
	return nil
}

// attempt tries the servers in order and serves the first that accepts. up is
// how long that connection lasted.
func (b *Bridge) attempt(ctx context.Context) (up time.Duration, err error) {
	b.status.state(time.Now(), Connecting)
	b.status.update(func(s *Stats) { s.Attempts++ })
	lctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var failed []*failure
	order := b.order()
	some := slices.ContainsFunc(order, func(i int) bool { return !b.waits(i) })
	for len(order) > 0 {
		i := order[0]
		order = order[1:]
		if some && b.waits(i) {
			failed = append(failed, b.aside[i].why)
			continue
		}
		s := b.servers[i]
		l, err := b.open(ctx, lctx, s)
		if err != nil {
			f := classify(err, time.Now())
			failed = append(failed, f)
			b.putAside(i, f)
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			if n := slices.Index(order, b.named(f.other)); n > 0 { // it says who is to be asked next
				order[0], order[n] = order[n], order[0]
			}
			continue
		}
		delete(b.aside, i)
		b.up(l, s)
		b.thin(false)
		b.window.Store(l.win)
		err = l.serve(ctx, lctx, cancel, i)
		b.window.Store(nil)
		if b.queue != nil {
			b.queue.rewind()
		}
		b.thin(true)
		var p *planned
		if !errors.As(err, &p) {
			b.ended(ctx, l, err)
		}
		b.moveOn(i, l, err)
		return time.Since(l.since), err
	}
	return 0, ofAll(failed)
}

func (b *Bridge) up(l *link, s server) {
	select {
	case <-b.anew: // this is the connection that was asked for
	default:
	}
	b.status.update(func(st *Stats) {
		st.State, st.Since, st.Class, st.Reason = Up, l.since, "", ""
		st.Connects++
		st.Server = s.address()
	})
	b.o.Log.Info("bridge up", "bridge", b.o.Name, "remote", s.address(), "session_present", l.lim.sessionPresent)
	b.event(Event{Kind: EventUp})
}

// thin tells the intakes whether to thin out what comes. When that ends, the
// retained messages of topics whose last one was left out are queued, or what
// deletes them: both sides hold the same again.
func (b *Bridge) thin(on bool) {
	for _, in := range b.o.Intakes {
		if in == nil {
			continue
		}
		in.up.Store(!on)
		if on {
			continue
		}
		for _, topic := range in.stale() {
			b.o.Queues[in.lane].Refresh(topic)
		}
	}
}

// ended draws conclusions from a connection that has ended.
func (b *Bridge) ended(ctx context.Context, l *link, err error) {
	if l.good() {
		b.retry.reset()
	}
	if err == nil {
		return
	}
	f := classify(err, time.Now())
	if f.class == ClassStalled {
		b.stalls++
	} else if l.answered.Load() {
		b.stalls = 0
	}
	silent := f.class == ClassTCP && f.code == 0 || f.code == mqtt.NotAuthorized // AWS says so of a topic
	head, ok := l.win.first()
	c, cancel := l.bounded(ctx)
	defer cancel()
	// An error of deadLetter is one of the queue and comes again with its next use.
	switch {
	case ctx.Err() != nil:
	case !ok && silent && l.win.holds(statusID) && time.Since(l.since) < closeSoon:
		b.cutOff++
		if b.cutOff == closeLimit {
			b.o.Log.Error("the server closes the connection over status_topic: it is left out", "bridge", b.o.Name, "topic", b.o.StatusTopic)
		}
	case !ok:
	case poisonous(f.code) && b.accuse(head.seq):
		_ = l.deadLetter(c, head.seq, head.topic, f.code, f.code.String())
	case silent && b.closed(head.seq, time.Since(head.sent)):
		_ = l.deadLetter(c, head.seq, head.topic, mqtt.UnspecifiedError, "the server closed the connection over it")
	case len(head.more) > 0 && b.probing():
		b.cuts.split(head.seq, head.more) // one of them may be what it dislikes
	}
}

// down records a failure and returns how long to wait.
func (b *Bridge) down(f *failure, up time.Duration) time.Duration {
	now := time.Now()
	wait := b.retry.next(f.class)
	if f.class == ClassTakenOver {
		wait = max(wait, b.takenOver(now))
	}
	var queue mqtt.QueueStats
	if b.queue != nil {
		queue = b.queue.stats()
	}
	repeated := false
	b.status.update(func(s *Stats) {
		repeated = up == 0 && s.Class == f.class
		if s.State != Down && s.State != Connecting {
			s.Since = now
		}
		s.State, s.Class, s.Reason = Down, f.class, f.Error()
	})
	log := b.o.Log.Warn
	if repeated {
		log = b.o.Log.Debug // the state and Attempts tell the rest
	}
	log("bridge down", "bridge", b.o.Name, "reason", string(f.class), "err", f.err, "retry_in", wait, "queued", queue.Messages)
	b.event(Event{Kind: EventDown, Class: f.class, Reason: f.Error()})
	if queue.Messages > 0 {
		b.event(Event{Kind: EventWaiting, Class: f.class, Reason: f.Error(), Messages: queue.Messages, Duration: wait})
	}
	return wait
}

func (b *Bridge) event(e Event) {
	e.Bridge, e.Time = b.o.Name, time.Now()
	b.o.OnEvent(e)
}
