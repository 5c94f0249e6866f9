package broker

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// keepSessions writes a data directory whose sessions were left so long ago, as
// a process of then would have.
func keepSessions(t *testing.T, dir string, records ...store.Record) {
	t.Helper()
	d, err := disk.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, _, _, err := store.Open(d, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		s.Append(r)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func kept1(id string, expiry time.Duration, left time.Time) store.Record {
	return store.Record{Kind: store.SessionKept, ClientID: id, Expiry: expiry, At: left}
}

// [MQTT-3.1.2-23] The Session Expiry Interval counts the time that the program
// or the board was off, also if the clock was wrong at the start.
func TestSessionsExpireOffline(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	keepSessions(t, dir,
		kept1("gone", time.Hour, now.Add(-2*time.Hour)),
		kept1("half", 4*time.Hour, now.Add(-2*time.Hour)),
		kept1("future", time.Hour, now.Add(24*time.Hour)), // the clock went back: from now on
		kept1("1970", time.Hour, time.Unix(1000, 0)),      // nobody had set it: from now on
		kept1("days", time.Hour, now.Add(-30*24*time.Hour)),
	)
	b, err := New(Options{Data: &Data{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.dir.Unlock()
	clients := b.hub.registry.clients
	for id, want := range map[string]bool{"gone": false, "half": true, "future": true, "1970": true, "days": false} {
		if (clients[id] != nil) != want {
			t.Errorf("session %s is there: %v", id, !want)
		}
	}
	// The board had started with yesterday's time; now the clock is set, and it
	// is the day after.
	b.hub.registry.Lock()
	clients["half"].left = now.Add(-5 * time.Hour).UnixNano()
	clients["future"].left = now.Add(-10 * time.Minute).UnixNano()
	b.hub.registry.Unlock()
	b.hub.clockSet()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // real: New is not for a bubble
		b.hub.registry.Lock()
		half, future := b.hub.registry.clients["half"], b.hub.registry.clients["future"]
		b.hub.registry.Unlock()
		if future == nil {
			t.Fatal("a session that has fifty minutes left is gone")
		}
		if half == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal("a session that ended an hour ago is there")
		}
	}
	b.hub.registry.Lock()
	for _, cl := range b.hub.registry.clients {
		b.hub.stop(cl.expiry)
	}
	b.hub.registry.Unlock()
	b.hub.timers.Wait()
}

// [MQTT-3.3.2-5] The Message Expiry Interval counts that time, too.
func TestMessagesExpireOffline(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	queued := func(n uint64, at time.Time, expiry time.Duration) store.Record {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: []byte{byte('0' + n)}, Expires: at.Add(expiry)}
		return store.Record{Kind: store.MessageQueued, At: at, Message: m, Destinations: []store.Destination{{Name: "c", Number: n, QoS: 1}}}
	}
	keepSessions(t, dir,
		kept1("c", 100*time.Hour, now.Add(-3*time.Hour)),
		queued(1, now.Add(-2*time.Hour), time.Hour),
		queued(2, now.Add(-2*time.Hour), 3*time.Hour),
		queued(3, time.Unix(1000, 0), time.Hour), // of a clock that nobody had set
	)
	b, err := New(Options{Data: &Data{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.dir.Unlock()
	cl := b.hub.registry.clients["c"]
	b.hub.stop(cl.expiry)
	cl.peer.Attach(session.Params{Version: mqtt.V5, ReceiveMaximum: 10, Expiry: time.Hour}, b.widest(), nil)
	for _, want := range []struct {
		payload string
		left    time.Duration
	}{{"2", time.Hour}, {"3", time.Hour}} {
		m, ok := cl.peer.Next(time.Now())
		if !ok {
			t.Fatalf("%s does not come", want.payload)
		}
		if left := time.Until(m.Message.Expires); string(m.Message.Payload) != want.payload || left > want.left || left < want.left-time.Minute {
			t.Errorf("%s comes with %s left, want %s with %s", m.Message.Payload, left, want.payload, want.left)
		}
	}
	if c, waiting, _ := cl.peer.Counts(); c.Dropped.Expired != 1 || waiting != 2 {
		t.Errorf("%+v, %d wait", c, waiting)
	}
}
