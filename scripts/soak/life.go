package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

const (
	never   = 100 * 365 * 24 * time.Hour
	silence = 6 * time.Second // Keep Alive of connections that will fall silent
)

// live connects, stays and leaves until ctx ends; then it stays connected.
func (a *actor) live(ctx context.Context) {
	defer a.setIdle(true)
	for {
		if a.link == nil {
			if !a.faithful {
				pause(ctx, time.Duration(a.rand.IntN(6000))*time.Millisecond)
			}
			err := a.connect(!a.durable || !a.faithful && a.rand.IntN(10) == 0, nil)
			if errors.Is(err, errRefused) { // the server has too much to do
				a.world.refused.Add(1)
				continue
			}
			if err != nil {
				a.fault("connect: %v", err)
				return
			}
		}
		if !a.stay(ctx) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		a.leave()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// connect opens a connection; old, when there is one, is taken over.
func (a *actor) connect(clean bool, old *link) error {
	w, err := dial(a.world.address, a.version)
	if err != nil {
		return err
	}
	if old != nil {
		a.how = "taken over"
	}
	l := &link{
		wire: w, clean: clean, keepAlive: time.Minute, accepted: make(chan error, 1), done: make(chan struct{}),
		aliases: make(map[uint16]string), pending: make(map[uint16]request),
	}
	v, o := a.request5(l)
	if clean && a.box != nil {
		a.box.end(time.Time{})
	}
	l.asked = time.Now()
	if err := l.send(v); err != nil {
		return err
	}
	var still error // the old connection lives on
	if old != nil {
		still = a.takenOver(old)
	}
	go func() { // settle and leave wait for done
		l.err = l.read(func(v *packet.View) error { return a.handle(l, v) })
		l.nc.Close()
		close(l.done)
	}()
	select {
	case err = <-l.accepted:
	case <-l.done:
		err = fmt.Errorf("%w without CONNACK: %v", errRefused, l.err)
		select {
		case err = <-l.accepted: // it ended right after
		default:
		}
	case <-time.After(a.world.patience):
		err = errors.New("no CONNACK in time")
	}
	if err == nil {
		err = still
	}
	if err != nil {
		l.cut()
		return err
	}
	a.back(l, old, o)
	return nil
}

// request5 words the CONNECT, with a will most of the time.
func (a *actor) request5(l *link) (*packet.View, *will) {
	r := a.rand
	v := &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: a.version, CleanStart: l.clean, ClientID: []byte(a.name),
	}}
	if r.IntN(4) == 0 {
		l.keepAlive = silence
	}
	v.Connect.KeepAlive = uint16(l.keepAlive / time.Second)
	var delay time.Duration
	switch {
	case a.version == mqtt.V5:
		l.expiry = []time.Duration{0, 3 * time.Second, never}[r.IntN(3)]
		if a.durable && l.expiry == 0 || a.faithful {
			l.expiry = never
		}
		p := &v.Properties
		p.Has = packet.HasSessionExpiry | packet.HasReceiveMaximum | packet.HasTopicAliasMaximum
		p.SessionExpiry, p.ReceiveMaximum, p.TopicAliasMaximum = seconds(l.expiry), uint16(1+r.IntN(30)), uint16(r.IntN(4))
		delay = time.Duration(r.IntN(4)) * time.Second
	case !l.clean:
		l.expiry = never
	}
	if r.IntN(3) == 0 {
		return v, nil
	}
	o := a.world.wills.add(a.name, min(delay, l.expiry))
	c := &v.Connect
	c.HasWill, c.WillTopic, c.WillPayload, c.WillQoS = true, []byte("will/"+a.name), fmt.Append(nil, o.number), mqtt.QoS(r.IntN(3))
	if delay > 0 {
		c.Will.Has, c.Will.WillDelay = packet.HasWillDelay, uint32(delay/time.Second)
	}
	return v, o
}

func seconds(d time.Duration) uint32 {
	if d == never {
		return 0xFFFFFFFF
	}
	return uint32(d / time.Second)
}

// takenOver waits until the server has closed the older connection
// [MQTT-3.1.4-3], so that what it brought is judged first.
func (a *actor) takenOver(old *link) error {
	select {
	case <-old.done:
	case <-time.After(a.world.late):
		return errors.New("the connection that was taken over was not closed")
	}
	if a.version == mqtt.V5 && old.reason != mqtt.SessionTakenOver && errors.Is(old.err, io.EOF) {
		a.fault("MQTT-3.1.4-3 taken over with the reason %v", old.reason)
	}
	a.ended(old, time.Now())
	return nil
}

// ended notes what became of the session when its connection ended at from.
func (a *actor) ended(l *link, from time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link = nil
	a.alive = from.Add(l.expiry)
	if l.expiry == 0 {
		a.forget()
	} else {
		a.box.end(a.alive)
	}
}

// back notes that the connection l is there: the will of the one before may
// have been called off by that.
func (a *actor) back(l, old *link, o *will) {
	now, w := time.Now(), &a.world.wills
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.will
	if before != nil && old != nil {
		w.expect(before, "taken over", l.asked, now)
	}
	if before != nil && before.delay > 0 {
		if l.clean {
			w.hasten(before, l.asked, now)
		} else {
			w.cancel(before, l.asked, now)
		}
	}
	a.link, a.will = l, o
	a.box.resumed()
}

// stay subscribes, publishes and reads slowly at times. It reports false when
// the connection is lost, or when it may stay for good.
func (a *actor) stay(ctx context.Context) bool {
	r := a.rand
	until := time.Now().Add(time.Duration(1000+r.IntN(12000)) * time.Millisecond)
	if !a.inhabited() {
		for range 1 + r.IntN(3) {
			if !a.do(func() error { return a.subscribe(a.filters[r.IntN(len(a.filters))]) }) {
				return false
			}
		}
		if g := a.filters[0]; g.group != nil && !a.do(func() error { return a.subscribe(g) }) {
			return false
		}
	}
	for ctx.Err() == nil && time.Now().Before(until) {
		wait := time.Duration(r.ExpFloat64() * float64(a.world.interval))
		pause(ctx, min(wait, a.link.keepAlive/6))
		if ctx.Err() != nil {
			break
		}
		if !a.do(a.act) {
			return false
		}
	}
	a.link.pause(false)
	return true
}

// act does one thing.
func (a *actor) act() error {
	r := a.rand
	a.link.pause(r.IntN(20) == 0 && a.link.keepAlive > silence)
	if a.link.keepAlive == silence {
		if err := a.link.send(&packet.View{Type: packet.PINGREQ}); err != nil {
			return err
		}
	}
	f := a.filters[r.IntN(len(a.filters))]
	switch n := r.IntN(100); {
	case n < 6:
		return a.subscribe(f)
	case n < 10 && f.group == nil:
		return a.unsubscribe(f.filter)
	}
	s := a.streams[r.IntN(len(a.streams))]
	filling := r.IntN(100)
	if r.IntN(50) == 0 {
		filling = r.IntN(20000)
	}
	return a.publish(s, filling, s.retain && r.IntN(5) == 0)
}

// do runs f and reports whether the connection still lives.
func (a *actor) do(f func() error) bool {
	err := f()
	select {
	case <-a.link.done:
		err = a.link.err
	default:
	}
	if err != nil {
		a.fault("connection lost: %v, reason %v", err, a.link.reason)
		return false
	}
	return true
}

func (a *actor) inhabited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.box.inhabited()
}
