//go:build linux

package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ear is an in-process client that keeps the newest payload of each topic.
type ear struct {
	t      *testing.T
	client *broker.Client
	newest map[string]string
	count  map[string]int
}

func listenTo(t *testing.T, g *gateway, filters ...string) *ear {
	t.Helper()
	c, err := g.broker.Attach(broker.ClientOptions{ID: "ear", CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range filters {
		if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: f, QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
	}
	return &ear{t, c, map[string]string{}, map[string]int{}}
}

// until takes messages until ok holds.
func (e *ear) until(what string, ok func() bool) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		m, err := e.client.Next(ctx)
		if err != nil {
			e.t.Fatalf("no %s: %v; newest: %q", what, err, e.newest)
		}
		e.newest[m.Topic] = string(m.Payload)
		e.count[m.Topic]++
	}
}

func (e *ear) has(topic, part string) func() bool {
	return func() bool { return strings.Contains(e.newest[topic], part) }
}

// Home Assistant's view of a gateway: it is told of each device, told again
// when it comes back, and told when one is gone, over a restart.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := func(devices string) string {
		return "node: barn\ndata_dir: " + dir + "\nmqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n" +
			"gateway: {homeassistant: {discovery: true}}\ndevices: [" + devices + "]\n"
	}
	const one, two = "{name: room, driver: sim, interval: 100ms, will_delay: 0s}", "{name: attic, driver: sim, interval: 100ms, will_delay: 0s}"
	const topic = "homeassistant/device/barn_attic/config"
	_, g, stop := startGateway(t, text(one+", "+two), deps{})
	e := listenTo(t, g, "homeassistant/#", "dunlin/barn/+/availability", "dunlin/barn/attic/#")
	e.until("announcement", e.has(topic, `"relay"`))
	var doc struct {
		Cmps map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(e.newest[topic]), &doc); err != nil {
		t.Fatal(err)
	}
	temperature, relay := doc.Cmps["temperature"], doc.Cmps["relay"]
	if temperature["device_class"] != "temperature" || temperature["state_topic"] != "dunlin/barn/attic/temperature" || relay["p"] != "switch" {
		t.Errorf("announced %v", doc.Cmps)
	}
	e.until("value where the announcement says", func() bool { return e.newest["dunlin/barn/attic/temperature"] != "" })
	command := mqtt.Message{Topic: relay["command_topic"].(string), Payload: []byte("ON"), QoS: mqtt.AtLeastOnce}
	if err := e.client.Publish(t.Context(), command); err != nil {
		t.Fatal(err)
	}
	e.until("switched relay", e.has("dunlin/barn/attic/relay", "ON"))
	before := e.count[topic]
	if err := e.client.Publish(t.Context(), mqtt.Message{Topic: "homeassistant/status", Payload: []byte("online")}); err != nil {
		t.Fatal(err)
	}
	e.until("announcement of all devices again", func() bool { return e.count[topic] > before })
	stop()

	_, g, stop = startGateway(t, text(one), deps{})
	e = listenTo(t, g, "homeassistant/#", "dunlin/barn/+/availability", "dunlin/barn/attic/#")
	e.until("device that stays", e.has("dunlin/barn/room/availability", "online"))
	for topic, payload := range e.newest {
		if strings.Contains(topic, "attic") && payload != "" {
			t.Errorf("left: %s %s", topic, payload)
		}
	}
	stop()
}

// A device class that is not announced because of its unit is said at its place.
func TestUnfitDeviceClass(t *testing.T) {
	const devices = `devices:
  - {name: a, driver: sim, unit_of_measurement: V, device_class: temperature, entities: {x: {}}}
  - name: b
    driver: sim
    entities: {flow: {device_class: volume_flow_rate, unit_of_measurement: l/min}, level: {device_class: aqi, unit_of_measurement: "%"}, t: {device_class: temperature, unit_of_measurement: °C}}
`
	cfg := load(t, devices)
	if errs := unfitClasses(cfg); errs != nil {
		t.Errorf("without discovery: %v", errs)
	}
	cfg = load(t, "gateway: {homeassistant: {discovery: true}}\n"+devices)
	errs := unfitClasses(cfg)
	if len(errs) != 3 || errs[0].Line != 3 || !errs[0].Warning || !strings.Contains(errs[1].Hint, "L/min, L/h") || errs[2].Hint != "it has no unit" {
		t.Errorf("%v", errs)
	}
}

// A device class that Home Assistant does not have is a mistake at its place.
func TestUnknownDeviceClass(t *testing.T) {
	cfg := load(t, `devices:
  - {name: a, driver: sim, device_class: dor}
  - name: b
    driver: sim
    entities: {door: {device_class: door}, temperature: {device_class: temprature}}
`)
	_, errs := makeDevices(cfg)
	if len(errs) != 2 || errs[0].Line != 2 || errs[0].Column != 42 || errs[1].Line != 5 || errs[1].Column != 72 || errs[1].Hint == "" {
		t.Errorf("%v", errs)
	}
}
