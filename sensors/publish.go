package sensors

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// spoken is what the device has said, and by which session.
type spoken struct {
	session    Session   // nil: ended, the will is pending or published
	said       bool      // the retained availability is online
	aborted    time.Time // when the session was aborted; zero: will and values are settled
	left       time.Time // when the last session ended
	healthSent time.Time
	healthSeen uint64    // OK+Err as published
	unsent     uint64    // publishes that failed
	toldAt     time.Time // when the log heard of one
}

// attach opens the device's session; nothing is said by it. It reports
// whether there is one.
func (o *owner) attach(ctx context.Context) bool {
	var news func()
	if o.obeys() {
		news = func() { o.dispatcher.notify(o) }
	}
	s, err := o.opt.Attach("dev:"+o.dev.Name, o.will, news)
	if err != nil {
		o.log().Warn("no session", "err", err)
		return false
	}
	o.session = s
	if o.obeys() {
		o.listen(ctx, s)
	}
	return true
}

// leave ends the session abnormally: its will follows after the delay.
func (o *owner) leave(now time.Time) {
	if o.session == nil {
		return
	}
	// The clock starts before the broker's, so what is inside the delay here
	// is inside it there.
	o.aborted, o.left = now, now
	if err := o.session.Abort(); err != nil {
		o.log().Warn("session not ended", "err", err)
	}
	o.inbox.open(nil)
	o.session = nil
}

// publish sends one message within publishLimit. It falls back on the
// manager's own session while the device has none.
func (o *owner) publish(ctx context.Context, m mqtt.Message) error {
	var p Publisher = o.out
	if o.session != nil {
		p = o.session
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	return o.told(m.Topic, p.Publish(ctx, m))
}

// retell is how long nothing is said again of values that cannot be published: a
// disk that is full refuses each of them, and the log may be on it.
const retell = time.Hour

// told counts and returns what has become of a message, or of several.
func (o *owner) told(topic string, err error) error {
	if err == nil {
		return nil
	}
	if o.unsent++; o.toldAt.IsZero() || time.Since(o.toldAt) > retell {
		o.toldAt = time.Now()
		o.log().Warn("not published", "topic", topic, "err", err)
	}
	return err
}

// publishAll is publish for the values of one reading. A session that can lets
// them wait for the disk together: each wait wakes others up.
func (o *owner) publishAll(ctx context.Context, all []mqtt.Message) error {
	s, together := o.session.(interface {
		PublishAll(ctx context.Context, all []mqtt.Message) error
	})
	if !together || len(all) < 2 {
		for _, m := range all {
			if err := o.publish(ctx, m); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	return o.told(all[0].Topic, s.PublishAll(ctx, all))
}

// settle publishes what is new: values while the device is online, values and
// then online when it was not.
func (o *owner) settle(ctx context.Context, now time.Time) {
	if o.health.State != Online || o.session == nil {
		o.arrive(ctx, now)
		return
	}
	if o.publishValues(ctx, now) != nil {
		return
	}
	o.reviewEntities(ctx, now)
}

// arrive takes the device online: every value it has, then health, and only
// then availability, so that no subscriber sees online beside an old value.
// A device that is back inside its will's delay never was offline to
// subscribers, and stays silent about it.
func (o *owner) arrive(ctx context.Context, now time.Time) {
	fresh := false
	for _, e := range o.entities {
		fresh = fresh || e.has
	}
	if !fresh || o.session == nil && !o.attach(ctx) {
		return
	}
	// The will was canceled by attach if its delay has not passed even now.
	unseen := o.said && !o.aborted.IsZero() && time.Since(o.aborted) < o.dev.WillDelay
	for _, e := range o.entities {
		e.dirty = e.has
		if !e.has && !unseen {
			if o.blank(ctx, e, Clear) != nil {
				return
			}
		}
	}
	if o.publishValues(ctx, now) != nil {
		return
	}
	o.aborted = time.Time{}
	o.health.become(Online, "", now)
	o.publishHealth(ctx)
	o.tellBorn(ctx)
	if !unseen {
		if o.publish(ctx, retained(o.topics.availability(), []byte(online))) != nil {
			o.health.become(Starting, "", now) // once more at the next reading
			return
		}
		o.said = true
	}
	o.log().Info("device online", "reopened", o.health.Reopened)
}

// publishValues sends the values that changed, each with what is needed to
// judge it.
func (o *owner) publishValues(ctx context.Context, now time.Time) error {
	o.registry.mend(now)
	if err := o.describe(ctx); err != nil {
		return o.unpublished(err, now)
	}
	var newest *entity
	var spoken []*entity
	for _, e := range o.entities {
		if !e.dirty {
			continue
		}
		if o.dev.Payload == Sparkplug {
			spoken = append(spoken, e)
		}
		if newest == nil || e.value().At.After(newest.value().At) {
			newest = e
		}
		e.seq++
	}
	if err := o.publishAll(ctx, o.changedValues(now)); err != nil {
		return o.unpublished(err, now)
	}
	for _, e := range o.entities {
		e.dirty = false
	}
	if o.health.State == Online {
		o.tellValues(ctx, spoken...)
	}
	if newest == nil || !o.dev.Payload.document() {
		return nil
	}
	if err := o.publishState(ctx, newest, now); err != nil {
		return o.unpublished(err, now)
	}
	return nil
}

// changedValues words the values that changed, where each has a topic of its
// own. Values that were read together and published as often share their
// properties, which are a third of what a retained value takes.
func (o *owner) changedValues(now time.Time) []mqtt.Message {
	if !o.dev.Payload.scalars() {
		return nil
	}
	synced := o.opt.ClockSynced()
	values := make([]mqtt.Message, 0, len(o.entities))
	var shared *mqtt.Properties
	var first *entity // that shared was made for
	for _, e := range o.entities {
		if !e.dirty {
			continue
		}
		if first == nil || !e.value().At.Equal(first.value().At) || e.seq != first.seq {
			shared, first = properties(e.value().At, "good", synced, e.seq), e
		}
		m := o.valueMessage(e.topic, []byte(plain(e.value().Value)), shared)
		m.Expires = now.Add(e.expires)
		values = append(values, m)
	}
	return values
}

// publishState sends all values of the device in one document, which lives as
// long as its newest.
func (o *owner) publishState(ctx context.Context, newest *entity, now time.Time) error {
	synced := o.opt.ClockSynced()
	payload, kind := []byte(nil), "application/json"
	if o.dev.Payload == SenML {
		payload, kind = o.senmlPack(now, synced), senmlType
	} else {
		payload = o.stateDocument()
	}
	m := o.valueMessage(o.topics.state(), payload, properties(newest.value().At, "good", synced, newest.seq))
	m.Properties.ContentType = kind
	m.Expires = now.Add(newest.expires)
	return o.publish(ctx, m)
}

// unpublished decides after a failed publish: a slow broker is waited for, a
// session that has ended is replaced at the next reading.
func (o *owner) unpublished(err error, now time.Time) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		o.leave(now)
	}
	return err
}

func (o *owner) valueMessage(topic string, payload []byte, p *mqtt.Properties) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: payload, QoS: o.dev.QoS, Retain: true, Properties: p}
}

// stateDocument is every current value of the device as one JSON object.
func (o *owner) stateDocument() []byte {
	values := map[string]any{}
	for _, e := range o.entities {
		if !e.has {
			continue
		}
		values[e.name] = e.value().Value
		if _, number := e.value().Value.(float64); number {
			values[e.name] = json.Number(plain(e.value().Value))
		}
	}
	doc, err := document(values)
	if err != nil { // numbers, booleans and strings only
		o.log().Error("no state document", "err", err)
	}
	return doc
}

// blank removes a value that is no longer true, or turns it to NaN.
func (o *owner) blank(ctx context.Context, e *entity, how ValuePolicy) error {
	if !o.dev.Payload.scalars() {
		return nil // the state document leaves it out
	}
	m := retained(e.topic, nil)
	if how == NaN {
		e.seq++
		m = o.valueMessage(m.Topic, []byte("NaN"), properties(time.Now(), "bad", o.opt.ClockSynced(), e.seq))
	}
	return o.publish(ctx, m)
}

// forget applies the value policy of a device that is offline for good.
func (o *owner) forget(ctx context.Context) {
	o.tellDied(ctx)
	if o.dev.Offline == Keep {
		return
	}
	for _, e := range o.entities {
		if o.blank(ctx, e, o.dev.Offline) != nil {
			return
		}
	}
	if o.dev.Payload.document() {
		_ = o.publish(ctx, retained(o.topics.state(), nil)) // logged and counted there
	}
}

// reviewEntities withdraws the values of entities that fail while others of
// the device are good: availability cannot say it, so the value must.
func (o *owner) reviewEntities(ctx context.Context, now time.Time) {
	var newest, withdrawn *entity
	for _, e := range o.entities {
		if int(e.row) < o.dev.FailAfter || !e.has {
			if e.has && (newest == nil || e.value().At.After(newest.value().At)) {
				newest = e
			}
			continue
		}
		how := o.dev.Offline
		if how == Keep {
			how = Clear
		}
		if o.blank(ctx, e, how) == nil {
			e.has, e.dirty, withdrawn = false, false, e
			e.pipe.interrupt()
			o.tellValues(ctx, e)
		}
	}
	switch {
	case withdrawn == nil || !o.dev.Payload.document():
	case newest != nil:
		_ = o.publishState(ctx, newest, now) // logged and counted there
	default:
		_ = o.publish(ctx, retained(o.topics.state(), nil)) // likewise
	}
	var reason Reason
	for _, e := range o.entities {
		if r, failed := o.health.Failed[e.name]; failed && reason == "" {
			reason = r
		}
	}
	if o.health.become(Online, reason, now) {
		o.publishHealth(ctx)
	}
}

// confirm renews the values of an event device to which nothing happened,
// before they expire. They keep the time at which they were captured.
func (o *owner) confirm(ctx context.Context, now time.Time) {
	o.health.alive(now)
	if o.health.State != Online {
		return
	}
	for _, e := range o.entities {
		e.dirty = e.has
		if e.has {
			e.pipe.last.At = byClock(e.pipe.last.At, now)
			o.values.set(e.slot, e.pipe.newest, now.Add(e.lives))
		}
	}
	o.settle(ctx, now)
}

// release publishes the values that a throttle held back until now.
func (o *owner) release(ctx context.Context, now time.Time) {
	held := false
	for _, e := range o.entities {
		if _, ok := e.pipe.Release(now); ok {
			e.has, e.dirty, held = true, true, true
		}
	}
	if held {
		o.settle(ctx, now)
	}
}

func (o *owner) publishHealth(ctx context.Context) {
	doc, err := document(o.health.Health)
	if err != nil {
		o.log().Error("no health document", "err", err)
		return
	}
	m := retained(o.topics.health(), doc)
	m.Properties.ContentType = "application/json"
	o.healthSent, o.healthSeen = time.Now(), o.health.OK+o.health.Err
	_ = o.publish(ctx, m) // logged and counted there; the next change says it again
}
