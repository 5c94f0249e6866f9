package bridge_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A NATS server with JetStream as upstream, killed in the middle.
func TestNATSOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a few seconds of real time")
	}
	n := bridgetest.NATS(t)
	observeIn(t, mqtt.V311, n.Addr(), "observer", "site/#").close()
	q := bridge.NewTestQueue(t)
	profile, ok := bridge.FindProfile("nats")
	if !ok {
		t.Fatal("no profile")
	}
	b, stop := running(t, bridge.Options{
		Name: "cloud", Servers: []string{n.URL()}, ClientID: "gw", StatusTopic: "site/status", Protocol: mqtt.V311, Profile: profile,
		Out: []bridge.Route{{From: "dunlin/#", To: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q}, RetryMax: time.Second,
	})
	const each = 300
	put := func(n int) {
		for i := range each {
			q.Add(mqtt.Message{Topic: "dunlin/a", Payload: []byte(fmt.Sprint(n*each + i)), QoS: mqtt.QoS(1 + i%2)})
		}
	}
	put(0)
	q.WaitEmpty(t, patience)
	n.Freeze() // what is sent now stays without an acknowledgement
	put(1)
	q.WaitInFlight(t, 20, patience)
	n.Kill()
	put(2)
	n.Start()
	q.WaitEmpty(t, patience)
	o := observeIn(t, mqtt.V311, n.Addr(), "observer", "site/#")
	count := make([]int, 3*each)
	for distinct := 0; distinct < len(count); {
		m := o.next(t)
		i, err := strconv.Atoi(string(m.Payload))
		if err != nil {
			continue // the status
		}
		if count[i]++; count[i] == 1 {
			distinct++
		}
	}
	for i, times := range count {
		if i%2 == 1 && times != 1 {
			t.Errorf("message %d, QoS 2, arrived %d times", i, times)
		}
	}
	stop()
	if st := b.Stats(); st.Dead != 0 || st.Unaccounted() != 0 {
		t.Errorf("dead %d, unaccounted %d", st.Dead, st.Unaccounted())
	}
}
