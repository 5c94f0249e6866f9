package bridge

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What has expired is not sent, but for the transfer of an identifier that the
// server may hold [MQTT-4.3.3-4]: that is completed, with a second left to live.
func TestWhatHasExpired(t *testing.T) {
	for _, tc := range []struct {
		name      string
		qos       mqtt.QoS
		sent      int
		lost      bool // the server has no session
		lives     time.Duration
		ttl       time.Duration
		fate      fate
		dup, ends bool
		expiry    uint32
	}{
		{name: "in time", qos: 1, lives: time.Minute, fate: fateSend, ends: true, expiry: 50},
		{name: "for ever", qos: 1, fate: fateSend},
		{name: "too late", qos: 1, lives: 5 * time.Second, fate: fateExpired},
		{name: "too old for its route", qos: 1, ttl: 5 * time.Second, fate: fateExpired},
		{name: "not too old for it", qos: 1, ttl: time.Minute, fate: fateSend},
		{name: "in flight with QoS 1", qos: 1, sent: 1, lives: 5 * time.Second, fate: fateExpired},
		{name: "QoS 2, not sent yet", qos: 2, lives: 5 * time.Second, fate: fateExpired},
		{name: "QoS 2 in flight", qos: 2, sent: 1, lives: 5 * time.Second, fate: fateSend, dup: true, ends: true, expiry: 1},
		{name: "QoS 2 in flight, too old for its route", qos: 2, sent: 1, ttl: 5 * time.Second, fate: fateSend, dup: true, ends: true, expiry: 1},
		{name: "QoS 2 in flight to a server that knows nothing of it", qos: 2, sent: 1, lost: true, lives: 5 * time.Second, fate: fateExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			routes, err := compileAll("out", []Route{{From: "#", TTL: tc.ttl}})
			if err != nil {
				t.Fatal(err)
			}
			p := preparer{self: "bridge:x", clientID: "gw", mark: "me", routes: routes, synced: set}
			now := time.Now()
			e := &mqtt.Queued{Seq: 4, At: now.Add(-10 * time.Second), Sent: tc.sent, Message: mqtt.Message{Topic: "a", QoS: tc.qos}}
			if tc.lives > 0 {
				e.Message.Expires = e.At.Add(tc.lives)
			}
			o, fate := p.prepare(e, limits{maximumQoS: 2, sessionPresent: !tc.lost, retain: true}, false, now)
			if fate != tc.fate || fate == fateSend && (o.dup != tc.dup || o.hasExp != tc.ends || o.expiry != tc.expiry) {
				t.Errorf("fate %d, DUP %t, expires %t in %d s", fate, o.dup, o.hasExp, o.expiry)
			}
		})
	}
}
