package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
			if err := a.connect(!a.durable || !a.faithful && a.rand.IntN(10) == 0, nil); err != nil {
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
	if old != nil {
		if err := a.takenOver(old); err != nil {
			return err
		}
	}
	go func() { // settle and leave wait for done
		l.err = l.read(func(v *packet.View) error { return a.handle(l, v) })
		l.nc.Close()
		close(l.done)
	}()
	select {
	case err = <-l.accepted:
	case <-l.done:
		err = fmt.Errorf("no CONNACK: %w", l.err)
	case <-time.After(a.world.patience):
		err = errors.New("no CONNACK in time")
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
	case <-time.After(a.world.patience):
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
	a.link.paused.Store(false)
	return true
}

// act does one thing.
func (a *actor) act() error {
	r := a.rand
	a.link.paused.Store(r.IntN(20) == 0 && a.link.keepAlive > silence)
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

// leave ends the connection in one of the ways that there are.
func (a *actor) leave() {
	l, r := a.link, a.rand
	if l.expiry == 0 { // from now on the server may pass on what is unfinished
		a.box.end(time.Time{})
	}
	if l.keepAlive == silence && r.IntN(2) == 0 {
		a.fallSilent(l)
		return
	}
	switch n := r.IntN(10); {
	case n < 3:
		a.disconnect(l, mqtt.NormalDisconnection)
	case n == 3 && a.version == mqtt.V5:
		a.disconnect(l, mqtt.DisconnectWithWill)
	case n < 5:
		a.malform(l)
	case n < 8:
		from := time.Now()
		if r.IntN(2) == 0 {
			l.cut()
		} else {
			l.nc.Close()
		}
		a.lost(l, "socket cut", from, time.Now())
		<-l.done
	default:
		if err := a.connect(!a.durable || !a.faithful && r.IntN(10) == 0, l); err != nil {
			a.fault("take over: %v", err)
			a.link = nil
		}
	}
}

// lost notes an end without DISCONNECT, seen by the server between from and to.
func (a *actor) lost(l *link, how string, from, to time.Time) {
	if a.will != nil {
		a.world.wills.expect(a.will, how, from, to)
	}
	<-l.done
	a.how = how
	a.ended(l, from)
}

func (a *actor) disconnect(l *link, code mqtt.ReasonCode) {
	from := time.Now()
	if err := l.send(&packet.View{Type: packet.DISCONNECT, Reason: code}); err != nil {
		a.fault("DISCONNECT: %v", err)
	}
	if a.will != nil && code == mqtt.NormalDisconnection {
		a.world.wills.discard(a.will, "DISCONNECT") // [MQTT-3.14.4-3]
		a.will = nil
	}
	a.closed(l, "DISCONNECT", mqtt.Success)
	a.lost(l, code.String(), from, time.Now())
}

// malform sends what no version knows [MQTT-4.13.1-1].
func (a *actor) malform(l *link) {
	from := time.Now()
	if err := l.sendBytes([]byte{0, 0}); err != nil {
		a.fault("malformed packet: %v", err)
	}
	a.closed(l, "a malformed packet", mqtt.MalformedPacket)
	a.lost(l, "malformed packet", from, time.Now())
}

// fallSilent neither reads nor writes until the server must have closed
// [MQTT-3.1.2-22].
func (a *actor) fallSilent(l *link) {
	l.paused.Store(true)
	time.Sleep(100 * time.Millisecond) // the reader may be acknowledging
	from, to := l.lastWrite(), time.Now()
	limit := l.keepAlive * 3 / 2
	// What is read afterwards is acknowledged, so that a server that is late by
	// more than this is caught.
	time.Sleep(limit + a.world.late/2)
	l.paused.Store(false)
	a.closed(l, "silence", mqtt.KeepAliveTimeout)
	a.lost(l, "silence", from.Add(limit), to.Add(limit))
}

// closed waits for the server's end of the connection, for the reason that
// 5.0 is told.
func (a *actor) closed(l *link, why string, reason mqtt.ReasonCode) {
	select {
	case <-l.done:
	case <-time.After(a.world.patience):
		a.fault("the connection was not closed after %s", why)
		l.cut()
		<-l.done
	}
	if a.version == mqtt.V5 && reason.Failed() && l.reason != reason && errors.Is(l.err, io.EOF) {
		a.fault("closed after %s with reason %v, want %v", why, l.reason, reason)
	}
}

// settle comes back to what the actor left on the server, to take all that is
// owed.
func (a *actor) settle() {
	if a.link == nil && a.box != nil {
		if err := a.connect(false, nil); err != nil {
			a.fault("connect at the end: %v", err)
		}
	}
	if a.link == nil { // nothing is there to come back to
		a.mu.Lock()
		a.forget()
		a.mu.Unlock()
		return
	}
	a.link.paused.Store(false)
}

// ping keeps a settled connection.
func (a *actor) ping() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link == nil || !a.idle {
		return
	}
	if err := a.link.send(&packet.View{Type: packet.PINGREQ}); err != nil {
		a.fault("connection lost at the end: %v, reason %v", err, a.link.reason)
	}
}

func (a *actor) setIdle(idle bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = idle
}

// quit leaves for good.
func (a *actor) quit() {
	if a.link == nil {
		return
	}
	a.setIdle(false)
	a.box.end(time.Time{})
	a.disconnect(a.link, mqtt.NormalDisconnection)
	a.durable, a.faithful = false, false
	if a.box == nil {
		return
	}
	w, err := dial(a.world.address, a.version)
	if err != nil {
		a.fault("quit: %v", err)
		return
	}
	defer w.nc.Close()
	leave := slices.Concat(
		packet.Append(nil, a.version, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: a.version, CleanStart: true, ClientID: []byte(a.name)}}),
		packet.Append(nil, a.version, &packet.View{Type: packet.DISCONNECT}))
	if err := w.sendBytes(leave); err != nil {
		a.fault("quit: %v", err)
	}
	if err := w.nc.SetReadDeadline(time.Now().Add(a.world.patience)); err == nil {
		io.Copy(io.Discard, w.nc) // until the server has closed
	}
}
