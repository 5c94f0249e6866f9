package sensors

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/serial"
)

const (
	publishLimit  = 5 * time.Second // the deadline of the publishes of one event
	stopLimit     = 5 * time.Second // of the outputs' Stop at shutdown
	healthRefresh = time.Minute     // at most this often for changed counters
	maxEntities   = 1000            // a driver cannot invent topics without end
	retries       = 2               // more tries inside an interval that failed
)

// owner is what a device is run by: whoever brings news of it (a call that
// returned, the alarm, a message) takes a turn as its owner, one at a time.
// Everything here belongs to the turn, but for what is atomic and for shown.
// Between turns no goroutine waits, so a device that is not read just now costs
// no stack. Calls into the driver run between turns, one at a time, and come
// back through call.done.
type owner struct {
	dev        Device
	opt        *Options
	topics     topics
	will       *mqtt.Will
	out        Publisher // speaks for the device while it has no session
	registry   *registry
	bus        *wire       // that calls have to themselves; nil: none
	freed      *wire       // that is to be freed when the device fails
	dispatcher *dispatcher // brings commands
	waiter     *serial.Waiter
	values     *valueTable

	outputs []*output
	heir    *owner // of the outputs; nil: nobody

	ctx      context.Context            // from the start to the end
	turnSlot chan struct{}              // one slot: whoever holds it takes a turn
	alarm    atomic.Pointer[time.Timer] // takes a turn when something is due; nil before the start
	nudged   atomic.Bool                // a turn is on its way
	entered  bool                       // the first turn was taken
	over     bool                       // there are no more turns

	pusher    Pusher // nil: read at intervals
	caller    Caller // nil: a pusher's Read waits
	listening listening
	patience  time.Duration // the deadline of a Read
	commander Commander     // nil: no outputs

	inbox    inbox // commands
	waiting  []*command
	entities []*entity // in order of appearance
	health   tracker

	// shown is how the device was after the last turn, written over at each.
	shown struct {
		sync.Mutex
		Status
	}

	calls
	wishes

	opened    bool
	mustClose bool
	ever      bool      // opened once
	next      time.Time // next read or open
	tick      time.Time // start of the current interval
	tries     int       // in the current interval
	wait      backoff
	took      time.Duration // by the last Read
	ladder    ladder
	supply    supply

	spoken
	announced
}

// entity is one entity with its pipeline, which has its newest value.
// A gateway has many: it is kept small.
type entity struct {
	name  string
	conf  *Entity // what the configuration says of it, or unlisted
	topic string  // of its plain value
	unit  string
	pipe  Pipeline
	slot  *slot         // in values
	lives time.Duration // how long a reading is good for
	// expires is the Message Expiry Interval: the next message may take longer
	// than the next reading.
	expires time.Duration
	seq     uint64
	row     int32 // rejected readings in a row

	has       bool // value is of the running epoch: since the device was opened
	dirty     bool // value is not published yet
	described bool // the registry and the announcement have it
}

// value is the newest that is worth a message.
func (e *entity) value() Sample { return e.pipe.last }

// unlisted is what the configuration says of an entity that it does not name.
var unlisted Entity

func newOwner(d Device, o *Options, bus *wire, b *valueTable, out Publisher) *owner {
	w := &owner{
		dev: d, opt: o, topics: newTopics(o.Base, d.Name), bus: bus, freed: bus, values: b, out: out, turnSlot: make(chan struct{}, 1),
		wait: backoff{least: time.Second}, supply: supply{power: d.Power},
	}
	w.shown.Status = Status{Name: d.Name, Health: Health{State: Starting}}
	w.will = w.topics.will(d.WillDelay)
	w.pusher, _ = d.Driver.(Pusher)
	w.caller, _ = d.Driver.(Caller)
	w.commander, _ = d.Driver.(Commander)
	w.patience = w.waitsFor()
	if _, shares := d.Driver.(Sharer); shares || w.pusher != nil {
		w.bus = nil // it would keep the bus for as long as nothing happens
	}
	return w
}

// log is for what is seldom said: a logger a device would cost more than making
// one.
func (o *owner) log() *slog.Logger { return o.opt.Log.With("sensor", o.dev.Name) }

// ended is where the outcome arrives; nil, where nothing ever does, without a
// call.
func (c *call) ended() <-chan outcome {
	if c == nil {
		return nil
	}
	return c.done
}

// advance does what is due at now, and starts at most one driver method.
func (o *owner) advance(ctx context.Context, now time.Time) {
	if o.call != nil && !o.hung && !now.Before(o.call.overdueAt(now)) {
		o.hang(ctx, now)
	}
	if o.health.stale(now) {
		o.down(ctx, o.silence(), now)
	}
	if !o.aborted.IsZero() && !now.Before(o.aborted.Add(o.dev.WillDelay)) {
		o.aborted, o.said = time.Time{}, false
		o.forget(ctx)
	}
	if o.health.State == Online {
		o.age(ctx, now)
		o.release(ctx, now)
		if now.Sub(o.healthSent) >= healthRefresh && o.healthSeen != o.health.OK+o.health.Err {
			o.publishHealth(ctx)
		}
	}
	o.start(ctx, now)
}

// start begins the next driver method, if its time has come and none is on
// its way.
func (o *owner) start(ctx context.Context, now time.Time) {
	d := o.dev.Driver
	switch {
	case o.call != nil:
		if o.hung && o.aside == nil && o.ladder.remedy == recovered && o.apply(ctx) {
			o.ladder.remedy = reopened
			return
		}
		o.giveWay(now)
	case o.aside != nil:
	case o.mustClose:
		o.call = o.begin(ctx, closing, o.dev.Timeout, nil, closer(d))
	case o.held:
	case !o.opened && !now.Before(o.next):
		if o.ladder.remedy != reopened && o.apply(ctx) {
			o.ladder.remedy = reopened
			return
		}
		o.ladder.remedy = reopened
		o.call = o.begin(ctx, opening, o.dev.Timeout, o.bus, func(ctx context.Context) ([]Reading, error) {
			if err := o.supply.switchOn(o.opt.Buses); err != nil {
				return nil, err
			}
			return nil, d.Open(ctx, o.opt.Buses)
		})
	case o.opened && o.command(ctx, now):
	case o.opened && o.listens(ctx, now):
	case o.opened && !now.Before(o.next):
		o.call = o.begin(ctx, reading, o.readLimit(now), o.bus, d.Read)
	}
}

// giveWay cancels the call under way for what an output has to do now, and a
// wait for events for any command. A driver that talks to its device may finish
// the request that it has sent.
func (o *owner) giveWay(now time.Time) {
	c := o.call
	waits := c.task == reading && o.pusher != nil
	asked := c.task == commanding && c.cmd.forced == ""
	switch {
	case c.yielded || o.hung:
		return
	case waits && len(o.waiting) > 0:
	case (c.task == reading || asked) && o.urgent(now) != nil:
	default:
		return
	}
	if c.yielded = true; waits {
		c.limit = now
	}
	c.cancel()
}

// command begins the next command; what outputs have to do comes first.
func (o *owner) command(ctx context.Context, now time.Time) bool {
	c := o.urgent(now)
	switch {
	case c != nil:
		o.log().Warn("output is brought to a safe state", "topic", c.entity, "reason", c.forced)
		o.output(c.entity).again = now.Add(retryForced)
	case len(o.waiting) > 0:
		c = o.waiting[0]
		o.waiting = slices.Delete(o.waiting, 0, 1)
	default:
		return false
	}
	o.call = o.begin(ctx, commanding, o.dev.Timeout, o.bus, func(ctx context.Context) ([]Reading, error) {
		return o.carryOut(ctx, c)
	})
	o.call.cmd = c
	return true
}

func closer(d Driver) method {
	return func(context.Context) ([]Reading, error) { return nil, d.Close() }
}

// waitsFor is the deadline of a Read.
func (o *owner) waitsFor() time.Duration {
	switch {
	case o.pusher == nil:
		return o.dev.Timeout
	case o.pusher.OnSilence() == nil:
		return o.dev.StaleAfter / 2
	}
	return o.dev.StaleAfter
}

// readLimit is how long the next Read may take. One that waits for events is
// over in time to renew the values, however often commands have interrupted it.
func (o *owner) readLimit(now time.Time) time.Duration {
	if o.pusher == nil || o.health.State != Online || o.pusher.OnSilence() != nil {
		return o.patience
	}
	return max(0, o.health.fresh.Add(o.patience).Sub(now))
}

// silence is what it means that stale_after has passed.
func (o *owner) silence() error {
	if o.call.late() {
		r := Timeout
		if o.bus.hung.Load() {
			r = Hung
		}
		return &Fault{r, ErrHeldUp}
	}
	if o.health.cause != nil {
		return o.health.cause
	}
	if o.pusher != nil {
		if err := o.pusher.OnSilence(); err != nil {
			return err
		}
	}
	return faultf(NoData, "no valid reading for %v", o.dev.StaleAfter)
}

// wake is when advance has something to do again.
func (o *owner) wake(now time.Time) time.Time {
	at := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	switch {
	case o.call != nil && !o.hung:
		sooner(o.call.overdueAt(now))
	case o.call == nil && o.aside == nil && !o.held && !o.listening.on:
		sooner(o.next)
	case o.listening.on:
		sooner(o.listening.until)
	}
	if o.opened {
		o.outputsWake(sooner)
	}
	if o.health.State != Offline {
		sooner(o.health.fresh.Add(o.health.staleAfter))
	}
	if !o.aborted.IsZero() {
		sooner(o.aborted.Add(o.dev.WillDelay))
	}
	if o.health.State == Online {
		if o.healthSeen != o.health.OK+o.health.Err {
			sooner(o.healthSent.Add(healthRefresh))
		}
		for _, e := range o.entities {
			if due := e.pipe.Due(); !due.IsZero() {
				sooner(due)
			}
			if e.has && int(e.row) < o.dev.FailAfter {
				sooner(o.values.until(e.slot))
			}
		}
	}
	return at
}

// hang gives up on the call on its way: the device is offline, its bus is
// marked, and nobody reads there until the call returns. Close runs beside it,
// since it may be what wakes it.
func (o *owner) hang(ctx context.Context, now time.Time) {
	o.hung = true
	if o.bus != nil && o.call.task != closing {
		o.bus.hung.Store(true)
	}
	err := faultf(Hung, "the driver did not return within %v", now.Sub(o.call.start).Round(time.Millisecond))
	if o.call.cmd != nil {
		o.output(o.call.cmd.entity).driven(o.call.cmd, err, now)
		o.reply(ctx, o.call.cmd, err)
	}
	if o.call.task != closing && o.aside == nil {
		o.aside = o.begin(ctx, closing, o.dev.Timeout, nil, closer(o.dev.Driver))
	}
	o.health.count(err)
	o.down(ctx, err, now)
}
