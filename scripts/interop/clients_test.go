package interop

import (
	"os"
	"testing"
)

// client is an implementation of MQTT that dunlin has to get along with.
type client struct {
	name string // with version, and transport when it is not TCP
	mqtt string // version: 3.1, 3.1.1 or 5.0
	dial func(t *testing.T, b *broker, o dialOptions) *peer
	// silentTo is the highest QoS of a message that it can leave without
	// acknowledgment.
	silentTo byte
	carriers []transport // besides TCP
}

// everybody reports whether clients that have to be installed are wanted too:
// make interop sets it, after installing them.
func everybody() bool { return os.Getenv("INTEROP") == "all" }

// clients are all there are.
func clients() []client {
	all := []client{
		{name: "paho.mqtt.golang 3.1", mqtt: "3.1", dial: dial31, silentTo: 2, carriers: everyTransport()},
		{name: "paho.mqtt.golang 3.1.1", mqtt: "3.1.1", dial: dial311, silentTo: 2, carriers: everyTransport()},
		{name: "paho.golang 5.0", mqtt: "5.0", dial: dial50, silentTo: 2, carriers: []transport{secure, mutual}},
	}
	if !everybody() {
		return all
	}
	for _, v := range []string{"3.1", "3.1.1", "5.0"} {
		all = append(all,
			client{name: "paho-python " + v, mqtt: v, dial: remoteDial(python, v, plain), silentTo: 1, carriers: everyTransport()},
			client{name: "mqtt.js " + v, mqtt: v, dial: remoteDial(node, v, plain), silentTo: 2, carriers: everyTransport()},
			client{name: "mqtt.js-ws " + v, mqtt: v, dial: remoteDial(node, v, websocket), silentTo: 2},
		)
	}
	return all
}

// clients5 are those that speak 5.0.
func clients5() (all []client) {
	for _, v := range clients() {
		if v.mqtt == "5.0" {
			all = append(all, v)
		}
	}
	return all
}

// eachVersion runs test against a broker of its own for each client.
func eachVersion(t *testing.T, test func(t *testing.T, b *broker, v client)) {
	t.Helper()
	for _, v := range clients() {
		t.Run(v.name, func(t *testing.T) { test(t, start(t), v) })
	}
}

// each5 does so for each client that speaks 5.0.
func each5(t *testing.T, test func(t *testing.T, b *broker, v client)) {
	t.Helper()
	for _, v := range clients5() {
		t.Run(v.name, func(t *testing.T) { test(t, start(t), v) })
	}
}
