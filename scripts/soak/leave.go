package main

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

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
			if errors.Is(err, errRefused) && a.link != nil {
				a.world.refused.Add(1)
				return // nothing was taken over
			}
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
	l.pause(true)
	time.Sleep(100 * time.Millisecond) // the reader may be acknowledging
	from, to := l.lastWrite(), time.Now()
	limit := l.keepAlive * 3 / 2
	// What is read afterwards is acknowledged, so that a server that is late by
	// more than this is caught.
	time.Sleep(limit + a.world.late/2)
	l.pause(false)
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
		err := a.connect(false, nil)
		for tries := 0; errors.Is(err, errRefused) && tries < 20; tries++ {
			time.Sleep(a.world.late / 10)
			err = a.connect(false, nil)
		}
		if err != nil {
			a.fault("connect at the end: %v", err)
		}
	}
	if a.link == nil { // nothing is there to come back to
		a.mu.Lock()
		a.forget()
		a.mu.Unlock()
		return
	}
	a.link.pause(false)
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
