package sensors

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// maxWaiting is how many commands may wait for a device; the next is refused
// as busy.
const maxWaiting = 16

// errOffline is why a command is refused that nobody can carry out.
var errOffline = errors.New("the device is offline")

// keptLonger is more than a session outlives its will.
const keptLonger = 2 * time.Second

// command is one message on .../{entity}/set.
type command struct {
	entity   string
	payload  []byte
	response string // Response Topic, "" when there is none
	data     []byte // Correlation Data

	limit  time.Duration // on_for, where the manager carries it out
	forced string        // nobody asked for it: why it is carried out
	fall   time.Time     // of the dead man's handle that it answers
}

// obeys reports whether the device's session takes commands. Where a driver could
// have outputs and has none, a subscription would only take memory: the manager's
// session finds what little comes, and the driver refuses it.
func (o *owner) obeys() bool {
	_, lists := o.commander.(Guarded)
	return len(o.outputs) > 0 || o.commander != nil && !lists
}

// listen subscribes to the device's command topics. Retained commands are not
// even asked for unless an entity accepts them: whoever set a relay last week
// does not mean it today.
func (o *owner) listen(ctx context.Context, s Session) {
	handling := mqtt.DoNotSendRetained
	for _, e := range o.entities {
		if e.conf.AcceptRetained {
			handling = mqtt.SendRetained
		}
	}
	sctx, done := context.WithTimeout(ctx, publishLimit)
	subs := []mqtt.Subscription{{Filter: o.topics.commands(), QoS: mqtt.AtLeastOnce, RetainHandling: handling}}
	for _, u := range o.outputs {
		if u.dead != nil && u.client == "" {
			subs = append(subs, mqtt.Subscription{Filter: u.beat, RetainHandling: mqtt.DoNotSendRetained})
		}
	}
	err := s.Subscribe(sctx, subs...)
	done()
	if err != nil {
		o.log().Error("no commands", "topic", o.topics.commands(), "err", err)
		return
	}
	o.inbox.open(s)
	o.dispatcher.notify(o)
}

// lose notices that the broker ended the session: another client took it over,
// or an administrator closed it. The device comes back with a new one.
func (o *owner) lose(ctx context.Context) {
	o.log().Warn("session lost")
	now := time.Now()
	o.leave(now)
	if o.health.State == Online {
		o.said = false // the will may be out already
		o.arrive(ctx, now)
	}
}

// accept queues a command for the driver, or refuses it.
func (o *owner) accept(ctx context.Context, m mqtt.Message) {
	name, ok := o.topics.commanded(m.Topic)
	if !ok {
		return
	}
	c := &command{entity: name, payload: m.Payload}
	if p := m.Properties; p != nil {
		c.response, c.data = p.ResponseTopic, p.CorrelationData
	}
	if (m.Retain || m.Held()) && !o.acceptsRetained(name) {
		o.log().Info("retained command ignored", "topic", m.Topic)
		return
	}
	if o.session == nil {
		o.away(ctx, c, time.Now())
		return
	}
	err := o.output(name).timed(c)
	switch {
	case err != nil:
		o.reply(ctx, c, err)
	case !o.opened || o.mustClose || o.hung:
		o.reply(ctx, c, errOffline)
	case len(o.waiting) >= maxWaiting:
		err = faultf(Busy, "%d commands are waiting", len(o.waiting))
		if u := o.output(name); u != nil && u.rests(c.payload) {
			// In any crowd there is room for OFF.
			last := &o.waiting[len(o.waiting)-1]
			c, *last = *last, c
		}
		o.reply(ctx, c, err)
	default:
		o.waiting = append(o.waiting, c)
	}
}

func (o *owner) acceptsRetained(name string) bool {
	for _, e := range o.entities {
		if e.name == name {
			return e.conf.AcceptRetained
		}
	}
	return false
}

// finishedCommand publishes what the device confirms, then the result.
func (o *owner) finishedCommand(ctx context.Context, c *command, out outcome, now time.Time) {
	for _, r := range out.readings {
		if e := o.entity(r.Entity); e != nil {
			e.pipe.force() // a confirmation is always worth a message
		}
	}
	if good, _ := o.take(out.readings, now); good > 0 {
		o.proven(now)
		o.settle(ctx, now)
	}
	o.output(c.entity).driven(c, out.err, now)
	if errors.Is(out.err, context.Canceled) {
		out.err = errors.New("it had to make way for the safety of an output")
	}
	var r *refusal
	if errors.As(out.err, &r) {
		o.health.Refused++
		o.log().Debug("command refused", "topic", c.entity, "reason", r.Error())
	}
	o.reply(ctx, c, out.err)
	var f *Fault
	if !errors.As(out.err, &f) {
		return // the command was wrong, not the device
	}
	o.health.count(out.err)
	if f.Reason == Unplugged || f.Reason == Panic {
		o.failed(ctx, out.err, now)
		o.reopen(out.err, now)
	}
}

// reply publishes the result of a command, to the requester too when it named
// a Response Topic [MQTT-3.3.2-13]. One below the base, or the server's own, gets
// nothing: whoever may send commands may not have the gateway speak for devices.
func (o *owner) reply(ctx context.Context, c *command, err error) {
	result := struct {
		OK     bool   `json:"ok"`
		Reason string `json:"reason,omitempty"`
	}{OK: err == nil}
	if result.Reason = c.forced; err != nil {
		result.Reason = err.Error()
	}
	payload, jerr := document(result)
	if jerr != nil {
		o.log().Error("no result", "err", jerr)
		return
	}
	m := mqtt.Message{
		Topic: o.topics.result(c.entity), Payload: payload, QoS: mqtt.AtLeastOnce,
		Properties: &mqtt.Properties{PayloadFormat: 1, HasFormat: true, ContentType: "application/json", CorrelationData: c.data},
	}
	_ = o.publish(ctx, m) // logged and counted there
	if c.response != "" && c.response[0] != '$' && !strings.HasPrefix(c.response, o.opt.Base+"/") {
		m.Topic = c.response
		_ = o.publish(ctx, m)
	}
}

// refuseWaiting answers the commands that the device can no longer carry out.
func (o *owner) refuseWaiting(ctx context.Context, err error) {
	for _, c := range o.waiting {
		o.reply(ctx, c, err)
	}
	o.waiting = nil
}
