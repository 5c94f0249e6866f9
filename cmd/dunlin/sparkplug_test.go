//go:build linux

package main

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// A Host Application's view of a gateway: births, data, a command that a relay
// carries out, a rebirth, deaths, all on the real broker.
func TestSparkplug(t *testing.T) {
	_, g, stop := startGateway(t, `node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
gateway: {sparkplug: {group: plant}, payload: sparkplug}
devices:
  - {name: room, driver: sim, interval: 50ms, stale_after: 1s, entities: {level: {signal: square, period: 200ms, unit_of_measurement: bar}, relay: {signal: output}}}
  - {name: goes, driver: sim, interval: 50ms, stale_after: 1s}
  - {name: other, driver: sim, interval: 1s, payload: plain}
`, deps{})
	e := listenTo(t, g, "spBv1.0/#", "dunlin/barn/room/+")
	h := &sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "barn"}
	rebirth := mqtt.Message{Topic: "spBv1.0/plant/NCMD/barn", Payload: append(append([]byte{0x12, 26, 0x0a, 20}, "Node Control/Rebirth"...), 0x20, 11, 0x70, 1)}
	publish := func(m mqtt.Message) {
		if err := e.client.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	publish(rebirth) // the first one may have been before the host
	kinds := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stopping := false
	take := func() bool {
		m, err := e.client.Next(ctx)
		if err != nil && stopping { // a client of this process is detached with the broker, which may be first
			return false
		} else if err != nil {
			t.Fatalf("%v; said %v", err, kinds)
		}
		switch {
		case m.Topic == "dunlin/barn/room/level" || m.Topic == "dunlin/barn/room/relay" || m.Topic == "dunlin/barn/room/state":
			t.Errorf("a value beside Sparkplug: %s %s", m.Topic, m.Payload)
		case len(m.Topic) < 14 || m.Topic[:8] != "spBv1.0/" || m.Topic[14:18] == "NCMD" || m.Topic[14:18] == "DCMD":
		case !h.Online && m.Topic != "spBv1.0/plant/NBIRTH/barn": // from before the host
		default:
			kinds[m.Topic[14:20]]++
			h.Take(m)
		}
		return true
	}
	for h.Births == 0 || h.Devices["room"] == nil || h.Devices["room"]["relay"] != false {
		take()
	}
	publish(mqtt.Message{Topic: "spBv1.0/plant/DCMD/barn/room", Payload: append(append([]byte{0x12, 9, 0x0a, 5}, "relay"...), 0x70, 1)})
	for h.Devices["room"]["relay"] != true || h.Devices["goes"] == nil || kinds["DDATA/"] < 5 {
		take()
	}
	if err := g.sensors.Change([]string{"goes"}, nil); err != nil {
		t.Fatal(err)
	}
	for kinds["DDEATH"] == 0 {
		take()
	}
	publish(rebirth)
	for births := h.Births; h.Births == births || h.Devices["room"]["relay"] != true; {
		take()
	}
	if h.Devices["other"] != nil {
		t.Error("a device that speaks plainly was born")
	}
	stopping = true
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	for h.Online && take() {
	}
	<-stopped
	for _, fault := range h.Faults {
		t.Error(fault)
	}
}
